"""What members used against a straightforward recount, over random histories."""

import asyncio
from dataclasses import replace
from pathlib import Path

from hypothesis import settings as hypothesis_settings

from bot.errors import Refusal
from bot.tables.opening import open_database
from bot.values import Job, Wish
from tests.support.books import Books, Only, books, lefts
from tests.support.clock import Clock
from tests.support.recount import tier
from tests.support.studio import origin, rooms

__all__ = ["books"]

TestBooks = Books.TestCase
TestBooks.settings = hypothesis_settings(max_examples=60, stateful_step_count=50, print_blob=True)


def test_a_piece_stopped_early_refills_the_grant_that_was_drawn_last(books: Books) -> None:
    books.grant((10, 1), 4, 1)
    books.grant((10, 1), 9, 2)
    books.submit(10, 1, 8, 2)
    assert lefts(books) == [2]
    books.claim()
    books.finish(Only(books.running[0]), 6.0, whole=False)
    assert lefts(books) == [6]


def test_posting_again_is_charged_to_the_day_it_happens(books: Books) -> None:
    books.submit(10, 1, 5, 1)
    books.claim()
    books.finish(Only(books.running[0]), 5.0, whole=True)
    books.deliver(refused=True)
    books.wait(30)
    books.post_again(Only(1))
    assert books.do(books.accounts.usage(10, 1)).used == 5


async def test_a_limit_of_two_lets_two_of_two_hundred_through(tmp_path: Path) -> None:
    two = replace(tier("free", 10_000), waiting=2)
    async with open_database(tmp_path / "test.db") as database:
        studio = rooms(database, tmp_path, Clock(), two).services.studio
        asked = [studio.submit(origin(), Wish(prompt="play", seconds=8)) for _ in range(200)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 198
