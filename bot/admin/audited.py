"""What admins' changes have in common: each is one transaction with its line in the audit log."""

from collections.abc import Callable
from datetime import datetime

from bot.rules.terms import Terms
from bot.tables import audit
from bot.tables.database import Database, Transaction
from bot.values import Actor


class Audited:
    """Changes within the operator's terms; its methods raise Refusal for what cannot be done."""

    def __init__(self, database: Database, terms: Terms, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock

    async def _note(
        self,
        tx: Transaction,
        guild: int,
        actor: Actor,
        action: str,
        subject: str | Actor,
        before: str | None = None,
        after: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Record a change; if its subject is a member, so that it can be found by them."""
        now = self._clock()
        await audit.note(tx, guild, now, actor, action, subject, before, after, reason)
