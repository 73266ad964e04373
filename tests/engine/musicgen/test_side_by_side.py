"""Requests of several members in one child: none waits for, or hears, another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot.engine.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Finish,
    Message,
    Progress,
    Ready,
    Report,
    Took,
)
from tests.support.engines import BESIDE, SMALL, Child, Files, last, of, together


@pytest.fixture(scope="module", params=["float32", "int8"])
def child(home: Path, request: pytest.FixtureRequest) -> Iterator[Child]:
    """An engine with three slots; in int8 a thread writes the files, as where a GPU steps."""
    if request.param == "float32":
        yield request.getfixturevalue("mono")
        return
    with Child(home, SMALL, precision=request.param, start=BESIDE) as child:
        assert isinstance(child.hear(), Ready)
        yield child


def test_a_short_piece_is_not_held_up_by_a_long_one(
    child: Child, folders: Callable[[], Files]
) -> None:
    long, short = folders(), folders()
    first, second = long.order(20, 1), short.order(2, 2)
    ended = Done(id=second.id)
    reports = together(
        child, first, second, then=lambda told: Cancel(id=first.id) if told == ended else None
    )
    assert reports.index(ended) < reports.index(Cancelled(id=first.id))
    done = [told.done for told in reports if isinstance(told, Progress) and told.id == first.id]
    assert 103 <= done[-1] < 400
    assert long.all() == set()
    assert short.samples(1).shape == (1, 64000)


def test_the_longest_piece_is_made_and_ended_by_an_extension_beside_others(
    child: Child, folders: Callable[[], Files]
) -> None:
    long, longest, short = folders(), folders(), folders()
    first, beside = long.order(115, 1), short.order(8, 2)
    reports = together(child, first, beside)
    assert reports.index(Done(id=beside.id)) < reports.index(Done(id=first.id))
    more = replace(longest.order(5, 3), prefix=str(long.folder / "1.npy"))
    together(child, more, folders().order(2, 4))
    assert longest.samples(1).shape == (1, 120 * 32000)
    assert (longest.codes(1)[:, : 115 * 50] == long.codes(1)).all()


def test_takes_are_made_side_by_side(child: Child, folders: Callable[[], Files]) -> None:
    files = folders()
    reports = together(child, files.order(4, 1, 2, 3))
    steps = [told.done for told in reports if isinstance(told, Progress)]
    assert {done % 3 for done in steps} == {0}
    assert (steps[0], steps[-1]) == (3, 3 * 203)
    assert [told.number for told in reports if isinstance(told, Took)] == [1, 2, 3]


def test_takes_beyond_the_slots_wait_for_one(child: Child, folders: Callable[[], Files]) -> None:
    five = folders()
    reports = together(child, five.order(1, *range(5)))
    assert sorted(told.number for told in reports if isinstance(told, Took)) == [1, 2, 3, 4, 5]
    done = [told.done for told in reports if isinstance(told, Progress)]
    assert done == sorted(set(done))
    assert done[-1] == 5 * 53
    for number in range(1, 6):
        assert five.samples(number).shape == (1, 32000)


@pytest.mark.parametrize("fault", ["fails", "is cancelled", "is finished"])
def test_what_happens_to_one_changes_no_bit_of_the_others(
    child: Child, folders: Callable[[], Files], fault: str
) -> None:
    quiet, kept, lost = folders(), folders(), folders()
    together(child, quiet.order(3, 5), folders().order(3, 6))
    order, other = kept.order(3, 5), lost.order(2 if fault == "fails" else 8, 6)
    if fault == "fails":
        lost.audio(1).mkdir()

    def then(told: Report) -> Message | None:
        if fault == "fails" or not isinstance(told, Progress):
            return None
        if told.id != other.id or told.done < 60:
            return None
        return (Cancel if fault == "is cancelled" else Finish)(id=other.id)

    reports = together(child, order, other, then=then)
    expected = {"fails": Failed, "is cancelled": Cancelled, "is finished": Done}[fault]
    assert isinstance(last(reports, other), expected)
    assert isinstance(last(reports, order), Done)
    assert (kept.codes(1) == quiet.codes(1)).all()
    assert (kept.samples(1) == quiet.samples(1)).all()


def test_an_order_that_waits_can_be_cancelled(child: Child, folders: Callable[[], Files]) -> None:
    running, waiting = folders(), folders()
    first, second = running.order(2, 1, 2, 3), waiting.order(2, 4)
    child.say(first)
    child.say(second)
    child.say(Cancel(id=second.id))
    heard: list[Report] = []
    while not heard or heard[-1] != Done(id=first.id):
        heard.append(child.hear())
    assert of(heard, second) == [Cancelled(id=second.id)]
    assert waiting.all() == set()
