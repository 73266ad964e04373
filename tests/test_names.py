"""One word, one thing: no name of a class or a constant stands for two things in the program."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.support.imports import modules, name_of

ANYWHERE = {"T", "P", "log", "__all__"}
"""What each module may have for itself."""

BARE = frozenset(
    re.findall(
        r"\w+",
        """
        BEGIN BIG BUSY DEEPEST EACH END FAR FASTEST FEW FEWEST FIRST FULL GONE HALF LARGEST LAST
        LEAST LONG LONGEST LOWEST MORE MOST NARROW NEAR NEWEST OLDEST OTHERS PROBE SHORT SHORTEST
        SHOWN SLOWEST SMALL SMALLER TALL TINY UNKNOWN UNSEEN USUAL
        """,
    )
)
"""What says nothing where it is read: of what is it the most?"""

Found = dict[str, list[str]]
"""The modules that define each name."""


def classes(tree: ast.Module) -> Iterator[str]:
    """Yield the names of all classes, those within others and within functions too."""
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def constants(tree: ast.Module) -> Iterator[str]:
    """Yield what a module assigns for others to read, aliases of types included."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        for target in targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (name.id for name in names if isinstance(name, ast.Name))


def defined() -> tuple[Found, Found]:
    """Return the program's classes and its constants."""
    found: tuple[Found, Found] = defaultdict(list), defaultdict(list)
    for path in modules().values():
        tree = ast.parse(Path(path).read_text())
        for names, in_this in zip(found, (classes(tree), constants(tree)), strict=True):
            for name in in_this:
                names[name].append(name_of(path))
    return found


def repeated(found: Found) -> Found:
    """Return what several modules define, or one of them twice."""
    several = {name: places for name, places in found.items() if len(places) > 1}
    return {name: several[name] for name in several.keys() - ANYWHERE}


def test_no_two_classes_have_one_name() -> None:
    assert repeated(defined()[0]) == {}


def test_no_two_constants_have_one_name() -> None:
    assert repeated(defined()[1]) == {}


def test_no_constant_is_called_as_a_class_is() -> None:
    named, constant = defined()
    assert named.keys() & constant.keys() == set()


def test_constants_keep_their_noun() -> None:
    assert defined()[1].keys() & BARE == set()


def test_repeats_are_seen() -> None:
    tree = ast.parse("A = B, C = 1, 2\nD: int = 3\nclass E:\n    class A: ...\n")
    assert [*constants(tree), *classes(tree)] == ["A", "B", "C", "D", "E", "A"]
    assert repeated({"A": ["one", "two"], "B": ["one"], "T": ["one", "two"]}) == {
        "A": ["one", "two"]
    }
