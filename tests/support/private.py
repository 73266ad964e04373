"""Who reaches behind an underscore of ours: `python -m tests.support.private` lists it."""

import ast
from collections.abc import Iterator
from functools import cache

from tests.support.places import ROOT

PATCHES = {"setattr", "delattr", "getattr", "object"}
"""Calls that reach an attribute by its name."""


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


@cache
def ours() -> frozenset[str]:
    """Return the private names that the bot and the benchmarks define."""
    found: set[str] = set()
    for _, tree in _trees("bot", "cogs", "benchmarks"):
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    found.add(node.name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                    found.add(name)
    return frozenset(filter(_is_private, found))


def _reached(node: ast.AST) -> list[str]:
    """Return the names that a node reaches in something else."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return []
        case ast.Attribute(attr=name):
            return [name]
        case ast.ImportFrom(names=names):
            return [each.name for each in names]
        case ast.Call(func=ast.Attribute(attr=call) | ast.Name(id=call), args=args):
            words = [each.value for each in args[:2] if isinstance(each, ast.Constant)]
            named = [word.rpartition(".")[2] for word in words if isinstance(word, str)]
            return named if call in PATCHES else []
    return []


def accesses() -> dict[str, list[str]]:
    """Return what each file of tests and benchmarks reaches behind an underscore, by its path."""
    found: dict[str, list[str]] = {}
    for path, tree in _trees("tests", "benchmarks"):
        names = [name for node in ast.walk(tree) for name in _reached(node)]
        if private := [name for name in names if name in ours()]:
            found[path] = private
    return found


if __name__ == "__main__":
    for path, names in accesses().items():
        print(f"{path}: {', '.join(names)}")
    print(sum(map(len, accesses().values())))
