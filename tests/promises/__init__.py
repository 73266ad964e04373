"""What the README and docs/ promise, in their words and mostly order, and the test that holds each.

A row is some words of theirs, `file::test`, and more of these where one alone does not hold
them. A promise that changes there changes here, and so does the test.
"""

from tests.promises import acestep, cluster, commands, delivery, operating, start, tiers

PROMISES = (
    *start.PROMISES,
    *acestep.PROMISES,
    *commands.PROMISES,
    *tiers.PROMISES,
    *delivery.PROMISES,
    *operating.PROMISES,
    *cluster.PROMISES,
)
