"""Pieces that were requested, for those who may see them: their words, their music, their like."""

from dataclasses import replace
from pathlib import Path

from bot.errors import Refusal
from bot.rules import erasable, visibility
from bot.rules.markup import escape
from bot.tables import jobs, messages, posts, shelf, takes
from bot.tables.database import Database
from bot.values import (
    Job,
    Parent,
    Post,
    PostKind,
    Request,
    Status,
    Take,
    TakeState,
    Viewer,
    Wish,
)


class Pieces:
    """What is known of pieces; each method that has a viewer refuses what they may not see."""

    def __init__(self, database: Database, *, folder: Path) -> None:
        self._database = database
        self._folder = folder

    async def request(self, number: int, viewer: Viewer) -> Request:
        """Return what a piece was made from."""
        return (await self._seen(number, viewer)).request

    async def again(self, number: int, viewer: Viewer) -> Wish:
        """Return the wish for a piece's like.

        One that goes on from another's music goes on from there once more.
        """
        job = await self._seen(number, viewer)
        request = job.request
        if request.lyrics == "":
            raise Refusal(_anothers_lyrics(job))
        if request.parent_take is None:
            return _like(request)
        parent = await self.parent(request)
        if parent is None:
            raise Refusal("The piece that this one extends is gone.")
        return await self.extension(
            *(parent.job_id, parent.number, request.seconds, viewer),
            prompt=request.prompt,
            lyrics=request.lyrics,
        )

    async def extension(
        self,
        number: int,
        take: int,
        seconds: int,
        viewer: Viewer,
        *,
        prompt: str | None = None,
        lyrics: str | None = None,
    ) -> Wish:
        """Return the wish to extend a take by these seconds; raise Refusal if it has no codes.

        It goes on with the same words, unless others are given.
        """
        job, found = await self.takes(number, viewer)
        kept = next((each for each in found if each.number == take), None)
        if kept is None:
            raise Refusal(f"#{number} has no take {take}.")
        if kept.codes is None or not (self._folder / kept.codes).exists():
            raise Refusal(f"#{number} can no longer be extended: its source data is gone.")
        assert kept.seconds is not None
        parent = Parent(take=kept.id, seconds=kept.seconds)
        wish = replace(_like(job.request), seconds=seconds, takes=1, parent=parent)
        wish = wish if prompt is None else replace(wish, prompt=prompt)
        wish = wish if lyrics is None else replace(wish, lyrics=lyrics)
        if wish.lyrics == "":
            raise Refusal(_anothers_lyrics(job))
        return wish

    async def takes(self, number: int, viewer: Viewer) -> tuple[Job, tuple[Take, ...]]:
        """Return a piece and its available takes; raise Refusal if there are none.

        Everything that hands out music asks here: it was delivered, is kept, and they may see it.
        """
        job = await self._seen(number, viewer)
        if job.status is not Status.DELIVERED:
            raise Refusal(_not_delivered(job))
        had = tuple(
            take
            for take in await takes.of(self._database, number)
            if take.state is TakeState.RENDERED and take.audio
        )
        if job.deleted or not had:
            raise Refusal(f"The music of #{number} is no longer kept.")
        return job, had

    async def parent(self, request: Request) -> Take | None:
        """Return the take that a request extends."""
        if request.parent_take is None:
            return None
        return await takes.find(self._database, request.parent_take)

    async def history(
        self, guild: int, user: int, limit: int, skip: int, words: str = ""
    ) -> list[tuple[Job, tuple[Take, ...], Post | None]]:
        """Return a member's pieces, starred ones first, then the newest, with takes and post.

        With `words` only those that have all of them in their number, title, prompt or lyrics.
        """
        found = await shelf.history(self._database, guild, user, limit, skip, words)
        return [await self._shown(job) for job in found]

    async def listed(self, guild: int, user: int, limit: int, words: str = "") -> list[Job]:
        """Return what `history` begins with, by itself."""
        return await shelf.history(self._database, guild, user, limit, 0, words)

    async def piece(self, number: int, viewer: Viewer) -> tuple[Job, tuple[Take, ...], Post | None]:
        """Return a piece, its takes and its post.

        What was not delivered is shown to its owner and to managers only.
        """
        job = await self._seen(number, viewer)
        known = visibility.answers_for(viewer, job.origin)
        if job.status is not Status.DELIVERED and not known:
            raise Refusal(visibility.absent(number))
        return await self._shown(job)

    async def deletable(self, number: int, viewer: Viewer) -> tuple[Job, int]:
        """Return a piece that the viewer may delete, and the seconds charged, or raise Refusal."""
        job = erasable.whole(await jobs.find(self._database, number), number, viewer)
        return job, sum(take.charged_seconds for take in await takes.of(self._database, number))

    async def besides(self, number: int, take: int, viewer: Viewer) -> tuple[Job, list[Take]]:
        """Return a piece that the viewer may reduce to a take, and its others, or raise Refusal."""
        made = await takes.of(self._database, number)
        job = await jobs.find(self._database, number)
        return erasable.besides(job, made, number, take, viewer)

    async def of_message(self, message: int, viewer: Viewer) -> int:
        """Return the number of the piece that a message is about.

        Raises Refusal if it is about none, or about one that the viewer may not see.
        """
        job = await messages.job(self._database, message)
        found = job and await jobs.find(self._database, job)
        if not (found and visibility.sees(viewer, found.origin)):
            raise Refusal("That message is not about a piece of mine.")
        return found.id

    async def result(self, job: Job) -> Post | None:
        """Return the delivered post that holds a job's music."""
        for post in await posts.of(self._database, job.id):
            if post.kind is PostKind.RESULT and post.delivered_at and post.message_id:
                return post
        return None

    async def _shown(self, job: Job) -> tuple[Job, tuple[Take, ...], Post | None]:
        return job, tuple(await takes.of(self._database, job.id)), await self.result(job)

    async def _seen(self, number: int, viewer: Viewer) -> Job:
        """Return a job whose words are known; for what they may not see, refuse as for none.

        The lyrics of another's song are empty.
        """
        job = visibility.seen(await jobs.find(self._database, number), number, viewer)
        # As if it had never been: who asks learns nothing of a number, not even that it was given.
        if job.forgotten:
            raise Refusal(visibility.absent(number))
        return visibility.without_lyrics(job, viewer)


def _like(request: Request) -> Wish:
    """Return the wish for what a request was for, but for the seed and where it came from."""
    return Wish(
        prompt=request.prompt,
        seconds=request.seconds,
        takes=request.takes,
        model=request.model,
        options=request.options,
        lyrics=request.lyrics,
        language=request.language,
    )


def _anothers_lyrics(job: Job) -> str:
    """Say why another's song cannot be had once more, and what can."""
    name = escape(job.origin.user_name) or "another member"
    return (
        f"The lyrics of #{job.id} are {name}'s. **Edit**, and **Extend** with other words, are for "
        "lyrics of your own."
    )


def _not_delivered(job: Job) -> str:
    """Say why a piece has no music to hand out."""
    if job.status is Status.UNDELIVERABLE:
        return (
            f"#{job.id} could not be posted, so it was refunded. **Post again** tries once more "
            "and charges it; once posted, it can be saved and extended."
        )
    if job.status in (Status.FAILED, Status.CANCELLED):
        did = "failed" if job.status is Status.FAILED else "was cancelled"
        return f"#{job.id} {did}, so there is no music."
    return f"#{job.id} is {job.status}: it can be saved and extended once it is posted."
