"""The operators that mutate SQL and Python, which `make mutants` tries the tests with."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.plugins import get_operator

from bot.engine import cards
from bot.tables.opening import open_database
from tests.mutants import __main__ as mutants
from tests.mutants import operators, recording, sampling, statements
from tests.mutants.operators import is_sql
from tests.mutants.sampling import MODULES, every, path, sample
from tests.mutants.statements import Statement, spliced
from tests.mutants.trials import Result

SELECT = "SELECT a FROM t WHERE "
UPDATE = "UPDATE t SET "

EXAMPLES = [
    ("without_condition", SELECT + "a = ?", [SELECT + "(a = ? OR TRUE)"]),
    (
        "without_condition",
        SELECT + "a = 1 AND NOT EXISTS (SELECT 1 FROM u) LIMIT 1",
        [
            SELECT + "(a = 1 OR TRUE) AND NOT EXISTS (SELECT 1 FROM u) LIMIT 1",
            SELECT + "a = 1 AND (NOT EXISTS (SELECT 1 FROM u) OR TRUE) LIMIT 1",
        ],
    ),
    (
        "without_condition",
        SELECT + "(a = 1 OR b = 2)",
        [
            SELECT + "((a = 1 OR b = 2) OR TRUE)",
            SELECT + "((a = 1 AND FALSE) OR b = 2)",
            SELECT + "(a = 1 OR (b = 2 AND FALSE))",
        ],
    ),
    (
        "without_condition",
        "SELECT a FROM t JOIN u ON t.a = u.a WHERE b = 1 ORDER BY a",
        [
            "SELECT a FROM t JOIN u ON (t.a = u.a OR TRUE) WHERE b = 1 ORDER BY a",
            "SELECT a FROM t JOIN u ON t.a = u.a WHERE (b = 1 OR TRUE) ORDER BY a",
        ],
    ),
    (
        "without_condition",
        "SELECT a FROM t INDEXED BY t_by_a WHERE a = 1",
        ["SELECT a FROM t  WHERE (a = 1 OR TRUE)"],
    ),
    (
        "without_condition",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
        [],
    ),
    (
        "without_condition",
        SELECT + "a BETWEEN ? AND ? AND b = 1",
        [
            SELECT + "(a BETWEEN ? AND ? OR TRUE) AND b = 1",
            SELECT + "a BETWEEN ? AND ? AND (b = 1 OR TRUE)",
        ],
    ),
    ("other_junction", SELECT + "a = 1 AND b = 2", [SELECT + "a = 1 OR b = 2"]),
    ("other_comparison", SELECT + "a <= 1", [SELECT + "a < 1", SELECT + "a > 1"]),
    ("other_comparison", UPDATE + "a = 1 WHERE a = 2", [UPDATE + "a = 1 WHERE a <> 2"]),
    ("other_comparison", SELECT + "a IS NULL", [SELECT + "a IS NOT NULL"]),
    ("other_comparison", SELECT + "a IS NOT b", [SELECT + "a IS b"]),
    ("other_comparison", SELECT + "a IN (1, 2)", [SELECT + "a NOT IN (1, 2)"]),
    (
        "other_comparison",
        SELECT + "NOT EXISTS (SELECT 1 FROM u)",
        [SELECT + " EXISTS (SELECT 1 FROM u)"],
    ),
    ("other_state", SELECT + "status = 'queued'", [SELECT + "status = 'running'"]),
    ("other_state", UPDATE + "state = 'rendered'", [UPDATE + "state = 'dropped'"]),
    ("other_state", SELECT + "posts.kind = 'preview'", [SELECT + "posts.kind = 'failure'"]),
    ("other_state", SELECT + "name = 'queued'", []),
    (
        "without_assignment",
        UPDATE + "a = MAX(a, ?), b = 0 WHERE c = 1",
        [
            UPDATE + "a = IIF(TRUE, a, MAX(a, ?)), b = 0 WHERE c = 1",
            UPDATE + "a = MAX(a, ?), b = IIF(TRUE, b, 0) WHERE c = 1",
        ],
    ),
    (
        "without_assignment",
        UPDATE + "a = CASE WHEN b > 0 THEN 1 ELSE a END, c = 2",
        [
            UPDATE + "a = IIF(TRUE, a, CASE WHEN b > 0 THEN 1 ELSE a END), c = 2",
            UPDATE + "a = CASE WHEN b > 0 THEN 1 ELSE a END, c = IIF(TRUE, c, 2)",
        ],
    ),
    (
        "other_sum",
        UPDATE + "a = MIN(a, b + 1)",
        [UPDATE + "a = MIN(a, b - 1)", UPDATE + "a = MAX(a, b + 1)"],
    ),
    ("other_sum", "SELECT COUNT(*), t.*, a * b FROM t", ["SELECT COUNT(*), t.*, a + b FROM t"]),
    (
        "other_sum",
        UPDATE + "a = COALESCE(a, ?)",
        [
            UPDATE + "a = COALESCE(IIF(TRUE, NULL, a), ?)",
            UPDATE + "a = COALESCE(a, IIF(TRUE, NULL, ?))",
        ],
    ),
    (
        "other_number",
        UPDATE + "a = 0 WHERE b = 7",
        [UPDATE + "a = 1 WHERE b = 7", UPDATE + "a = 0 WHERE b = 8"],
    ),
    (
        "other_order",
        "SELECT a FROM t ORDER BY a DESC, b LIMIT 1",
        [
            "SELECT a FROM t ORDER BY a ASC, b LIMIT 1",
            "SELECT a FROM t ORDER BY a DESC, b DESC LIMIT 1",
        ],
    ),
    ("fewer_words", "INSERT OR IGNORE INTO t VALUES (1)", ["INSERT  INTO t VALUES (1)"]),
    (
        "fewer_words",
        "SELECT DISTINCT a FROM t GROUP BY a, b",
        ["SELECT  a FROM t GROUP BY a, b", "SELECT DISTINCT a FROM t GROUP BY b"],
    ),
]


@pytest.mark.parametrize(("kind", "sql", "mutants"), EXAMPLES)
def test_a_statement_is_mutated_in_every_place(kind: str, sql: str, mutants: list[str]) -> None:
    found = [spliced(sql, splices) for splices in getattr(statements, kind)(Statement(sql))]
    assert found == mutants


def test_every_kind_has_an_example() -> None:
    assert {kind.__name__ for kind in statements.KINDS} == {kind for kind, _, _ in EXAMPLES}


async def test_every_mutant_of_every_statement_is_valid_sql(tmp_path: Path) -> None:
    async with open_database(tmp_path / "test.db"):
        pass
    seen = 0
    with sqlite3.connect(tmp_path / "test.db") as database:
        database.create_function("casefold", 1, str.casefold)
        for file in sorted(Path("bot/tables").glob("*.py")):
            source = file.read_text(encoding="utf-8")
            for sql in mutated_statements(source):
                parameters = dict.fromkeys(re.findall(r":(\w+)", sql))
                numbered = re.findall(r"\?(\d+)", sql)
                count = max(map(int, numbered)) if numbered else sql.count("?")
                database.execute(f"EXPLAIN {sql}", parameters or [None] * count)
                seen += 1
    assert seen > 500


def mutated_statements(source: str) -> list[str]:
    """Return every mutant of every statement in a module, as the program would run it."""
    found = []
    for node in ast_nodes(get_ast(source)):
        for name in filter(is_sql, operators.NAMES):
            operator: Any = get_operator(name)()
            for index, _ in enumerate(operator.mutation_positions(node)):
                found.append(eval(f"({operator.mutate(node, index).get_code().strip()})"))
    return found


PYTHON = '''
"""WHERE a module says what it is for, nothing is mutated: 1."""

LIMIT = 3

@decorated(size=1)
async def change(tx: Database | Transaction, *, most: int = 7) -> bool:
    """SELECT what is meant, AND say so."""
    log.info("of %d", most + 1)
    assert most > 2
    await tx.execute(
        "UPDATE t SET a = 1 "
        "WHERE b = ?",
        (most,),
    )
    if most < LIMIT:
        return False

if TYPE_CHECKING:
    MOST = 4
'''


def test_only_what_a_program_does_is_mutated() -> None:
    made = {(mutant.line, mutant.operator) for mutant in every("bot.tables.jobs", PYTHON)}
    assert {line for line, _ in made} == {4, 6, 7, 11, 12, 16, 17}
    assert {name for line, name in made if line == 12} == {
        "fantasia/SQL_without_condition",
        "fantasia/SQL_other_comparison",
        "fantasia/SQL_without_assignment",
        "fantasia/SQL_other_number",
    }


def test_every_mutant_can_be_run() -> None:
    source = "if a := b(): ...\nwhile c := d(): ...\ne = (f if g else h) and not i"
    made = [*every("bot.tables.jobs", source)]
    assert made
    for mutant in made:
        compile(mutant.code(source), "", "exec")


TRY = "try: ...\n    "


@pytest.mark.parametrize(
    ("name", "occurrence", "before", "after"),
    [
        ("WithoutCall", 0, "await tx.execute(1)", "pass"),
        ("Unconditional", 0, "if a := b(): ...", "if ((a := b()) and False): ..."),
        ("Unconditional", 1, "if a or b: ...", "if ((a or b) or True): ..."),
        ("Uncaught", 0, TRY + "except a.B as c: 1", TRY + "except FloatingPointError as c: 1"),
        ("Uncaught", 1, TRY + "except (a.B, C): 1", TRY + "except (a.B, FloatingPointError): 1"),
        ("Uncaught", 0, TRY + "except (a.B, C): 1", TRY + "except (FloatingPointError, C): 1"),
        ("SQL_other_order", 0, 'x("SELECT a " "ORDER BY a")', 'x("SELECT a " "ORDER BY a DESC")'),
    ],
)
def test_the_rest_of_a_module_stays_as_it_is(
    name: str, occurrence: int, before: str, after: str
) -> None:
    module = "async def f():\n    # why\n    {}\n    return 1\n".format
    mutant = sampling.Mutant("bot.tables.jobs", f"fantasia/{name}", occurrence, 3, (1, 4))
    assert mutant.code(module(before)) == module(after)


def test_a_seed_gives_the_same_sample_with_its_share_of_sql_from_every_module() -> None:
    sources = {module: path(module).read_text(encoding="utf-8") for module in MODULES}
    chosen = sample(sources, 150, 14)
    few = {module: sources[module] for module in ("bot.tables.takes", "bot.queue")}
    assert sample(few, 20, 14) == sample(few, 20, 14) != sample(few, 20, 15)
    assert len(set(chosen)) == 150
    assert sum(is_sql(mutant.operator) for mutant in chosen) >= 50
    assert {mutant.module for mutant in chosen} == set(MODULES)
    for mutant in chosen[::10]:
        compile(mutant.code(sources[mutant.module]), str(mutant.path), "exec")


def test_what_became_of_a_mutant_is_remembered_as_long_as_it_would_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = iter("aaabbb")
    monkeypatch.setattr(mutants, "_tests", lambda _: next(tests))
    dead, alive = [
        sampling.Mutant("bot.tables.jobs", f"fantasia/{name}", 0, 3, (1, 4)) for name in ("A", "B")
    ]
    memory = mutants.Memory(tmp_path / "results.jsonl")
    memory.keep(dead, "source", Result(killer="a test", tests=1, diff=""))
    memory.keep(alive, "source", Result(killer=None, tests=1, diff="+"))
    memory = mutants.Memory(tmp_path / "results.jsonl")
    assert memory.find(dead, "source")
    assert memory.find(alive, "source")
    assert memory.find(dead, "source"), "though the tests are others now"
    assert not memory.find(alive, "source"), "which might notice"
    assert not memory.find(dead, "another source")


def test_who_asks_for_what_is_cached_counts_among_those_that_run_it() -> None:
    cards.card("ace")
    recording.forget_cached()
    assert cards.card.cache_info().currsize == 0


def test_a_class_is_held_by_the_tests_of_its_module_and_a_method_by_its_own() -> None:
    source = "import a\n\n\n@a.b\nclass C:\n    d: int = 1\n\n"
    source += "    @a.b\n    def e(self):\n        return 1\n"
    found = {mutant.line: mutant.function for mutant in every("bot.tables.jobs", source)}
    assert found[4] == (1, 11)
    assert (found[8], found[10]) == ((8, 11), (9, 11))
