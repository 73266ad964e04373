"""Who may import whom: a line for each folder, and for each library that has a place of its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.imports import ROOT, circle, graph, imported, modules, name_of
from tests.support.private import accesses

MODULES = sorted(modules().values())

COMMON = "bot.clock bot.errors bot.logs bot.monitoring.metrics bot.values"
FAMILY = " ".join(
    f"bot.engine.{room}"
    for room in (
        *("cards", "contract", "executors", "files", "hardware", "hub", "loading", "messages"),
        *("names", "settings", "sharing"),
    )
)
"""What families of models share: none of them knows of another."""

MAY = {
    "bot.rules": f"bot.rules bot.engine.cards {COMMON}",
    "bot.tables": f"bot.tables {COMMON}",
    "bot.engine": "bot.engine bot.errors bot.values",
    "bot.engine.musicgen": f"bot.engine.musicgen {FAMILY} bot.errors bot.values",
    "bot.engine.acestep": f"bot.engine.acestep {FAMILY} bot.errors bot.values",
    "bot.engine.sketch": f"bot.engine.sketch {FAMILY} bot.errors bot.values",
    "bot.engine.hardware": "bot.engine.hardware bot.engine.host bot.errors",
    "bot.engine.files": "bot.engine.files bot.engine.messages bot.errors bot.values",
    "bot.retention": f"bot.retention bot.settlement bot.rules bot.tables {COMMON} "
    "bot.engine.files bot.engine.messages",
    "bot.dispatch": f"bot.dispatch bot.queue bot.retention.disk bot.rules bot.tables {COMMON} "
    "bot.engine.cards bot.engine.children bot.engine.conversation bot.engine.files "
    "bot.engine.messages",
    "bot.admin": f"bot.admin bot.engine.cards bot.retention.disk bot.rules bot.tables {COMMON}",
    "bot.lookup": f"bot.lookup bot.queue bot.rules bot.tables {COMMON}",
    "bot.client": "bot.admin bot.belongings bot.discord_api bot.lookup bot.outbox bot.retention "
    f"bot.rules.terms bot.studio bot.tables.database bot.tables.state {COMMON}",
    "bot.monitoring.server": f"bot.client bot.tables.database {COMMON}",
    "bot.config": f"bot.engine.cards bot.parsing {COMMON}",
    "bot.parsing": "bot.rules",
    "bot.values": "",
    "bot.errors": "bot.values",
    "bot.monitoring.metrics": "bot.errors bot.values",
    "bot.clock": "",
    "bot.discord_api": "bot.discord_api bot.errors",
    "bot": f"bot.admission bot.engine.cards bot.queue bot.settlement bot.rules bot.tables {COMMON}",
    "cogs": "cogs bot.client bot.admin bot.belongings bot.discord_api bot.engine.cards "
    f"bot.lookup bot.outbox bot.retention bot.rules bot.studio {COMMON}",
}
"""What each module of a folder, or a single module, may import of ours."""

ALL = {"bot.__main__", "bot.app", "bot.cli"}
"""What may import everything."""

TORCH = "attention audiocraft_loop capacity codec cpu_attention cpu_step cuda_graphs "
TORCH += "decoder family gpu_attention gpu_draw gpu_layers layers linears loading model "
TORCH += "precisions sampling slot slot_loop transformer"
ACESTEP = "conditions conversion denoising family layout loading model precisions session tiles"
ONLY = {
    "aiosqlite": "bot.tables.database bot.tables.opening",
    "sqlite3": "bot.tables.database bot.tables.opening",
    "discord": "bot.client bot.discord_api bot.cli.checks.online "
    "bot.cli.connection bot.cli.demo cogs",
    "simcord": "bot.cli.demo",
    "disarm": "bot.rules.wordfilter",
    "torch": "bot.engine.hardware bot.engine.loading bot.engine.repertoire "
    + " ".join(f"bot.engine.musicgen.{room}" for room in TORCH.split())
    + "".join(f" bot.engine.acestep.{room}" for room in ACESTEP.split()),
    "diffusers": "bot.engine.acestep",
    "ray": "bot.engine.link",
    "triton": " ".join(
        f"bot.engine.musicgen.{room}" for room in ("gpu_draw", "gpu_layers", "gpu_attention")
    ),
    "audiocraft": " ".join(f"bot.engine.musicgen.{room}" for room in TORCH.split()),
}
"""Where a library is imported."""


def within(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def rule(name: str) -> set[str]:
    """Return what a module may import, by the line that says most of it."""
    (line,) = sorted((room for room in MAY if within(name, {room})), key=len)[-1:]
    return set(MAY[line].split())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    name = name_of(path)
    ours = {other for other in imported(path) if within(other, {"bot", "cogs"})} - {"bot"}
    if not within(name, ALL):
        assert {other for other in ours if not within(other, rule(name))} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    for library, rooms in ONLY.items():
        if any(within(name, {library}) for name in imported(path)):
            assert within(name_of(path), set(rooms.split())), f"{library} in {name_of(path)}"


OF_A_FAMILY = re.compile(r"\bfamily\b|\bfamily_of\b|\bFamily\.")
"""What a comparison with a family of models has in it."""


def test_no_room_but_that_of_names_compares_families() -> None:
    """What depends on a model's family stands in its card, or in a table by families."""
    compared = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare | ast.MatchValue) and OF_A_FAMILY.search(ast.unparse(node))
    }
    assert compared == {"bot.engine.names"}


def test_what_is_looked_up_changes_nothing() -> None:
    for path in (ROOT / "bot/lookup").glob("*.py"):
        assert "transaction(" not in path.read_text(), path.name


def test_no_modules_import_each_other_in_a_ring() -> None:
    assert circle(graph()) == []


def test_every_line_is_of_something_that_exists() -> None:
    named = {room for rooms in (*MAY.values(), *ONLY.values()) for room in rooms.split()}
    assert {*MAY, *ALL, *named} - modules().keys() == set()


LAID_OUT = re.compile(r"( *)((?:\w+(?:/|\.py)(?: |$))+)")
"""A line of the layout that names a folder, or files of the folder that it is indented below."""


def laid_out() -> Iterator[str]:
    """Yield the paths of all files that CONTRIBUTING.md's layout names."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders: list[str] = []
    for line in text.partition("```\n")[2].partition("```")[0].splitlines():
        if found := LAID_OUT.match(line):
            depth, names = len(found[1]) // 2, found[2].split()
            del folders[depth:]
            yield from ("".join((*folders, name)) for name in names if name.endswith(".py"))
            folders += [name for name in names if name.endswith("/")]


def test_the_layout_names_every_file_once_and_nothing_else() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in MODULES if path.name != "__init__.py"}
    named = [path for path in laid_out() if path.startswith(("bot/", "cogs/"))]
    assert sorted(named) == sorted(there)


MOST_IN_THE_ROOT = 16
"""Python files that lie directly in `bot/`."""

MOST_LINES_OF_CODE = 300
"""Lines of a file of the program. `bot/values.py` is the one exception, and says why."""


def test_the_root_tells_a_story_and_no_file_of_it_is_a_book() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    long = {name for name, count in lines.items() if count > MOST_LINES_OF_CODE}
    assert long == {"bot.values"}
    assert len([*(ROOT / "bot").glob("*.py")]) <= MOST_IN_THE_ROOT


MOST_LINES = 400
"""Lines of a file of tests: as much as is read at one go."""


def test_no_file_of_tests_is_too_long_to_be_read_at_one_go() -> None:
    files = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files
    }
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_no_file_of_tests_imports_another() -> None:
    """What they share stands in `tests/support/`: otherwise one is run because of the other."""
    found = {
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text().splitlines()
        if FROM_A_TEST.match(line)
    }
    assert found == set()


FROM_A_TEST = re.compile(r"\s*(?:from|import)\s+tests\.(?:\w+\.)*test_\w+")
"""An import of a file of tests; one in a script that a test runs is one, too."""


MOST_PRIVATE = 20
"""How often tests may reach behind an underscore of ours in all."""


def test_tests_reach_inside_by_one_file_and_seldom() -> None:
    reached = accesses()
    assert {*reached} <= {"tests/support/inside.py"}
    assert sum(map(len, reached.values())) <= MOST_PRIVATE
