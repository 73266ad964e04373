"""What the README promises, in its own words and mostly its order, and the test that holds each.

A row is some words of the README, `file::test`, and more of these where one alone does not hold
them. A promise that changes there changes here, and so does the test.
"""

from tests.promises import commands, delivery, operating, start, tiers

PROMISES = (
    *start.PROMISES,
    *commands.PROMISES,
    *tiers.PROMISES,
    *delivery.PROMISES,
    *operating.PROMISES,
)
