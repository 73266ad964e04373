"""The statements as they are written."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.imports import modules, name_of

TABLES = [path for name, path in modules().items() if name.startswith("bot.tables.")]

MOST_NAMELESS = 5


def statements(path: Path) -> list[str]:
    """Return the texts in a file that are SQL."""
    nodes = ast.walk(ast.parse(path.read_text()))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    verbs = r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b"
    return [text for text in texts if isinstance(text, str) and re.match(verbs, text)]


@pytest.mark.parametrize("path", TABLES, ids=name_of)
def test_a_statement_with_many_parameters_names_them(path: Path) -> None:
    for statement in statements(path):
        assert len(set(re.findall(r"\?\d", statement))) <= MOST_NAMELESS, statement
        assert len(re.findall(r"\?(?!\d)", statement)) <= MOST_NAMELESS, statement


def test_what_a_job_makes_is_reckoned_in_one_place() -> None:
    """Everywhere else the row is asked: its work and its price were written down with it."""
    product = r"seconds\s*\*\s*[\w.\[\]\"]*takes|takes\s*\*\s*[\w.\[\]\"]*seconds"
    found = {name for name, path in modules().items() if re.search(product, path.read_text())}
    assert found == {"bot.values"}
    assert len(re.findall(product, modules()["bot.values"].read_text())) == 1
