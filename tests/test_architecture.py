"""Who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*ROOT.glob("bot/**/*.py"), *ROOT.glob("cogs/**/*.py")])

TABLES = (
    *("jobs", "takes", "posts", "uploads", "settings", "speeds", "unneeded"),
    *("plans", "members", "grants", "servers", "audit", "removals"),
)
STORES = {f"bot.tables.{table}" for table in TABLES} | {"bot.tables.ledger"}
VALUES = {"bot.values", "bot.errors", "bot.logs", "bot.rules.markup"}
DOMAIN = {
    *(
        "bot.admin.operations",
        "bot.outbox",
        "bot.retention.archive",
        "bot.retention.erasure",
        "bot.studio",
    ),
    *("bot.admin.office", "bot.admin.rulebook"),
}
ALLOWED = {
    "bot.values": set(),
    "bot.errors": set(),
    "bot.rules.markup": set(),
    "bot.rules.tiers": VALUES,
    "bot.rules.wordfilter": VALUES,
    "bot.rules.fairness": VALUES,
    "bot.rules.forecast": {"bot.rules.fairness"} | VALUES,
    "bot.config": {"bot.rules.tiers"} | VALUES,
    "bot.tables.database": {"bot.errors", "bot.tables.migrations"},
    **dict.fromkeys(STORES, {"bot.tables.database"} | VALUES),
    "bot.tables.ledger": {"bot.tables.database", "bot.tables.grants", "bot.tables.takes"} | VALUES,
    "bot.clock": set(),
    "bot.retention.calendar": {"bot.tables.database"} | STORES | VALUES,
    "bot.queue": {"bot.tables.database", "bot.rules.fairness", "bot.rules.forecast"}
    | STORES
    | VALUES,
    "bot.admission": {"bot.tables.database", "bot.rules.tiers", "bot.rules.wordfilter"}
    | STORES
    | VALUES,
    "bot.engine.files.encoder": {"bot.engine.files.formats", "bot.engine.files.tags"},
    "bot.rules.visibility": VALUES,
    "bot.settlement": {"bot.tables.database"} | STORES | VALUES,
    "bot.retention.archive": {
        *(
            "bot.retention.calendar",
            "bot.tables.database",
            "bot.retention.disk",
            "bot.engine.files.encoder",
            "bot.dispatch.orders",
            "bot.settlement",
            "bot.rules.visibility",
        ),
        *("bot.engine.files.formats", "bot.engine.messages", "bot.engine.files.tags"),
    }
    | STORES
    | VALUES,
    "bot.retention.disk": set(),
    "bot.retention.erasure": {"bot.retention.calendar", "bot.tables.database"} | STORES | VALUES,
    "bot.cli.guard": set(),
    "bot.admin.operations": {"bot.tables.database", "bot.retention.disk"} | STORES | VALUES,
    "bot.logs": {"bot.values"},
    "bot.metrics": {"bot.client", "bot.tables.database"} | VALUES,
    "bot.admin.office": {"bot.admission", "bot.tables.database", "bot.rules.tiers"}
    | STORES
    | VALUES,
    "bot.admin.rulebook": {
        *(
            "bot.admission",
            "bot.tables.database",
            "bot.admin.office",
            "bot.rules.tiers",
            "bot.rules.wordfilter",
        ),
    }
    | STORES
    | VALUES,
    "bot.outbox": {"bot.tables.database", "bot.settlement"} | STORES | VALUES,
    "bot.studio": {
        "bot.admission",
        "bot.tables.database",
        "bot.rules.visibility",
        "bot.rules.tiers",
        "bot.queue",
    }
    | STORES
    | VALUES,
    "bot.dispatch.deadlines": {"bot.values"},
    "bot.dispatch.dispatcher": {
        "bot.tables.database",
        "bot.dispatch.deadlines",
        "bot.engine.messages",
        "bot.engine.process",
        "bot.dispatch.orders",
        "bot.queue",
    }
    | STORES
    | VALUES,
    "bot.dispatch.orders": {
        "bot.tables.database",
        "bot.retention.disk",
        "bot.engine.files.audio",
        "bot.engine.messages",
    }
    | STORES
    | VALUES,
    "bot.discord_errors": set(),
    "bot.cli.connection": {"bot.client", "bot.discord_errors"} | VALUES,
    "bot.client": {"bot.discord_errors"} | DOMAIN | VALUES,
    "cogs": {"bot.client", "bot.rules.tiers", "bot.discord_errors", "bot.rules.wordfilter", "cogs"}
    | DOMAIN
    | VALUES,
    "bot.engine.process": {"bot.engine.messages", "bot.errors"},
    "bot.engine": {"bot.engine"},
}
MUSICGEN = (
    *(
        "attention",
        "codec",
        "compiled",
        "decoder",
        "devices",
        "fused",
        "graphs",
        "linears",
        "loading",
        "memory",
        "musicgen",
    ),
    *("repertoire", "sampling", "slot", "slotted", "spills", "split", "transformer", "whole"),
)
TORCH = {f"bot.engine.{room}" for room in MUSICGEN}
ONLY = {
    "aiosqlite": {"bot.tables.database"},
    "sqlite3": {"bot.tables.database"},
    "discord": {"bot.client", "bot.cli.connection", "bot.discord_errors", "bot.cli.demo", "cogs"},
    "simcord": {"bot.cli.demo"},
    "disarm": {"bot.rules.wordfilter"},
    "torch": TORCH,
    "triton": {"bot.engine.split"},
    "audiocraft": TORCH,
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if is_module(name) else str(node.module)


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()


def within(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def rule(name: str) -> set[str] | None:
    rooms = [room for room in ALLOWED if within(name, {room})]
    return ALLOWED[max(rooms, key=len)] if rooms else None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    allowed = rule(name_of(path))
    ours = {name for name in imports(path) if within(name, {"bot", "cogs"})}
    if allowed is not None:
        assert {name for name in ours if not within(name, allowed)} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    for library, rooms in ONLY.items():
        if any(within(name, {library}) for name in imports(path)):
            assert within(name_of(path), rooms), f"{library} in {name_of(path)}"


def test_the_rules_cover_every_room_but_the_outermost() -> None:
    outermost = {
        "bot",
        "bot.tables",
        "bot.__main__",
        "bot.app",
        "bot.cli.demo",
        "bot.cli.doctor",
        "bot.cli.engines",
    }
    outermost |= {
        "bot.cli.offline",
        "bot.tables.migrations",
        "bot.cli.selling",
        "bot.cli.export",
        "bot.cli.backups",
    }
    rooms = {name_of(path) for path in MODULES if path.name != "__init__.py"}
    assert {name for name in rooms if rule(name) is None} <= outermost
