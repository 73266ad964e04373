"""Numbers as people say them."""

import pytest

from bot.rules.wording import counted, span


def test_one_piece_and_more_pieces() -> None:
    assert [counted(number, "piece") for number in (0, 1, 2)] == ["0 pieces", "1 piece", "2 pieces"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (8, "8 s"),
        (120, "120 s"),
        (1200, "20 min"),
        (1203, "20 min 3 s"),
        (3600, "1 h"),
        (3659.6, "1 h 1 min"),
        (7325, "2 h 2 min 5 s"),
    ],
)
def test_a_length_of_time_is_said_in_units_that_suit_it(seconds: float, said: str) -> None:
    assert span(seconds) == said
