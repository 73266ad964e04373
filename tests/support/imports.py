"""What imports what in the bot: `python -m tests.support.imports` counts it.

Imports for type checking count like all others, and so do those inside functions.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]

Graph = Mapping[str, frozenset[str]]
"""Of each module the modules that it imports."""


def modules() -> dict[str, Path]:
    """Return the modules of the bot and of its cogs."""
    paths = sorted([*ROOT.glob("bot/**/*.py"), *ROOT.glob("cogs/**/*.py")])
    return {name_of(path): path for path in paths}


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, ours and others'."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if _is_module(name) else str(node.module)


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def graph() -> Graph:
    """Return who imports whom among our own modules; a package itself counts for nothing."""
    ours = {name: path for name, path in modules().items() if path.name != "__init__.py"}
    return {name: frozenset(imported(path)) & ours.keys() - {name} for name, path in ours.items()}


def circle(graph: Graph) -> list[str]:
    """Return modules that import each other in a ring, the first again at the end, if some do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest way from a module through its imports; there must be no circle."""
    longest: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        longest[name] = [name, *max((longest[other] for other in graph[name]), key=len, default=[])]
    return max(longest.values(), key=len)


def folder(name: str) -> str:
    """Return the package that a module lies in."""
    return name.rpartition(".")[0]


def between_folders(graph: Graph) -> Counter[tuple[str, str]]:
    """Count the imports from each folder into each other one."""
    return Counter(
        (folder(name), folder(other))
        for name, others in graph.items()
        for other in others
        if folder(name) != folder(other)
    )


def _tell() -> None:
    ours = graph()
    ring = circle(ours)
    print("Python files in the root of bot/:", len(list(ROOT.glob("bot/*.py"))))
    if not ring:
        chain = longest_chain(ours)
        print(f"longest import chain: {len(chain)} ({' > '.join(chain)})")
    counts = between_folders(ours)
    print(f"imports: {sum(map(len, ours.values()))}, {counts.total()} of them between folders")
    for (inner, outer), count in sorted(counts.items()):
        print(f"  {inner} > {outer}: {count}")
    print("cycles:", " > ".join(ring) or 0)


if __name__ == "__main__":
    _tell()
