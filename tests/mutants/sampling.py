"""Which mutants there are, and which of them are tried."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from parso.tree import NodeOrLeaf

from tests.mutants.operators import NAMES, is_sql, kind, left_alone

MODULES = (
    *(
        "bot.tables.jobs",
        "bot.tables.backlog",
        "bot.tables.engines",
        "bot.tables.speeds",
        "bot.tables.erasures",
        "bot.tables.takes",
        "bot.tables.shelf",
        "bot.tables.drafts",
        "bot.tables.panels",
        "bot.tables.ledger",
        "bot.admission",
        "bot.rules.terms",
        "bot.tables.posts",
        "bot.outbox",
    ),
    *("bot.belongings.shelf", "bot.belongings.drafts", "bot.admin.panels"),
    *("bot.queue", "bot.rules.fairness", "bot.rules.forecast"),
    *("bot.dispatch.fleet", "bot.dispatch.dispatcher", "bot.dispatch.openings"),
    *("bot.dispatch.machine", "bot.dispatch.deadlines", "bot.dispatch.endings"),
    *("bot.retention.archive", "bot.retention.copies", "bot.retention.ownership"),
    *(
        "bot.engine.acestep.checkpoint",
        "bot.engine.acestep.conditions",
        "bot.engine.acestep.denoising",
        "bot.engine.acestep.session",
        "bot.engine.acestep.tiles",
        "bot.engine.cards",
        "bot.engine.licences",
        "bot.engine.placement",
        "bot.engine.pulse",
        "bot.engine.repertoire",
        "bot.engine.sharing",
        "bot.rules.lyrics",
    ),
    *("cogs.delivery", "cogs.ui.letters", "cogs.ui.routes", "cogs.ui.permissions"),
    *("cogs.ui.take_buttons", "cogs.ui.setup_view"),
)

SQL_SHARE = 0.4
"""How much of a sample is in SQL."""


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change: the so-many-th that an operator can make in a module, and where it stands."""

    module: str
    operator: str
    occurrence: int
    line: int
    function: tuple[int, int]
    """The first and the last line of the function that it is in, or of the whole module."""

    @property
    def path(self) -> Path:
        """The module's file, from the project's root."""
        return path(self.module)

    def code(self, source: str) -> str:
        """Return the module's source with the change made."""
        changed: str | None = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        assert changed is not None
        return changed


def path(module: str) -> Path:
    """Return a module's file, from the project's root."""
    return Path(*module.split(".")).with_suffix(".py")


def every(module: str, source: str) -> Iterator[Mutant]:
    """Yield all mutants of a module."""
    nodes = list(ast_nodes(get_ast(source)))
    for name in NAMES:
        operator = get_operator(name)()
        places = ((node, at) for node in nodes for at, _ in operator.mutation_positions(node))
        for occurrence, (node, (line, _)) in enumerate(places):
            if not left_alone(node, name):
                yield Mutant(module, name, occurrence, line, _lines(node))


def sample(sources: dict[str, str], size: int, seed: int) -> list[Mutant]:
    """Return so many mutants of modules, given by name with their sources, of each in turn.

    A module that stays as it is gives the same ones for the same seed.
    """
    lots: dict[bool, list[list[Mutant]]] = {True: [], False: []}
    for module, source in sources.items():
        mutants = list(every(module, source))
        for sql, lot in lots.items():
            found = [mutant for mutant in mutants if is_sql(mutant.operator) is sql]
            lot.append(_shuffled(found, random.Random(f"{seed} {module} {sql}")))
    in_sql = _in_turn(lots[True])[: round(size * SQL_SHARE)]
    return _in_turn([in_sql, _in_turn(lots[False])[: size - len(in_sql)]])


def _shuffled(mutants: Sequence[Mutant], dice: random.Random) -> list[Mutant]:
    """Return the mutants in random order, each kind of change in turn."""
    kinds = defaultdict(list)
    for mutant in dice.sample(mutants, len(mutants)):
        kinds[kind(mutant.operator)].append(mutant)
    return _in_turn([kinds[kind] for kind in dice.sample(sorted(kinds), len(kinds))])


def _in_turn(lots: Sequence[Sequence[Mutant]]) -> list[Mutant]:
    return [mutant for row in zip_longest(*lots) for mutant in row if mutant is not None]


def _lines(node: NodeOrLeaf) -> tuple[int, int]:
    inside = node.search_ancestor("funcdef", "decorated")
    while inside and inside.type == "decorated" and inside.children[-1].type == "classdef":
        inside = inside.search_ancestor("funcdef", "decorated")  # no test runs a class's own lines
    inside = inside or node.get_root_node()
    return inside.start_pos[0], inside.end_pos[0]
