"""What the mutants tell: the score by module, and those that lived."""

from collections.abc import Sequence

from tests.mutants.operators import is_sql
from tests.mutants.sampling import Mutant
from tests.mutants.trials import Result

Tried = Sequence[tuple[Mutant, Result]]


def line(mutant: Mutant, result: Result) -> str:
    """Return one mutant's line."""
    what = f"{mutant.module}:{mutant.line} {mutant.operator.partition('/')[2]}"
    if result.survived:
        return f"ALIVE {what} ({result.tests} tests)"
    return f"dead  {what}: {result.killer}"


def whole(tried: Tried) -> str:
    """Return the report as Markdown."""
    modules = sorted({mutant.module for mutant, _ in tried})
    rows = [
        *("| module | killed | of | in SQL | of | score |", "|---|---|---|---|---|---|"),
        *(_row(name, [pair for pair in tried if pair[0].module == name]) for name in modules),
        _row("all", tried),
    ]
    lived = [
        f"### {mutant.module}:{mutant.line}, {mutant.operator}, {result.tests} tests\n\n"
        f"```diff\n{result.diff}```\n"
        for mutant, result in sorted(tried, key=lambda pair: pair[0])
        if result.survived
    ]
    return "\n".join(["# Mutants", "", *rows, "", "## Alive", "", *lived])


def _row(name: str, tried: Tried) -> str:
    dead = [mutant for mutant, result in tried if not result.survived]
    sql = [mutant for mutant, _ in tried if is_sql(mutant.operator)]
    dead_sql = [mutant for mutant in dead if is_sql(mutant.operator)]
    score = 100 * len(dead) / len(tried) if tried else 0.0
    return f"| {name} | {len(dead)} | {len(tried)} | {len(dead_sql)} | {len(sql)} | {score:.0f} % |"
