"""Each promise is the README's or the guide's, and held by a test that exists."""

import ast
import re
from functools import cache

import pytest

from tests.promises import PROMISES
from tests.support.places import ROOT, place_of


@cache
def promised() -> str:
    texts = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    return _in_a_line(" ".join(text.read_text(encoding="utf-8") for text in texts))


def _in_a_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@cache
def names_in(file: str) -> set[str]:
    """The tests of a file, those that are made of a class of Hypothesis' among them."""
    tree = ast.parse((ROOT / place_of(file)).read_text(encoding="utf-8"))
    named = {getattr(node, "name", "") for node in tree.body}
    assigned = (
        target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
    )
    return named | {target.id for target in assigned if isinstance(target, ast.Name)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[0])
def test_each_promise_is_made_and_has_its_test(promise: tuple[str, ...]) -> None:
    words, *held_by = promise
    assert words in promised()
    assert [words for words, *_ in PROMISES].count(words) == 1, "it stands here twice"
    assert held_by
    for test in held_by:
        file, name = test.split("::")
        assert name in names_in(file)
        assert name.lower().startswith("test")
