"""The operators: cosmic-ray's for Python that change what a program does, and our own.

Strings that are only text, annotations, decorators, assertions, log lines and what is for types are
left alone.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import cosmic_ray.plugins
import parso
from cosmic_ray.operators.operator import Operator
from parso.python.tree import Function
from parso.tree import BaseNode, NodeOrLeaf

from tests.mutants.statements import KINDS, Splices, Statement, spliced

Position = tuple[tuple[int, int], tuple[int, int]]

CORE = (
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr"),
    *("ReplaceOrWithAnd", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("NumberReplacer", "RemoveDecorator", "ZeroIterationForLoop"),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd"),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_Add", "Div_Mul", "FloorDiv_Mul", "Mod_Mul")
    ),
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in (
            *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
            *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
        )
    ),
)
"""Those of cosmic-ray whose mutants are no nonsense, such as a shift of an annotation's type."""

SUMS = {"arith_expr", "term"}
"""Where an operator is one; elsewhere a star is a mark of parameters."""

LEFT_ALONE = {"tfpdef", "decorator", "assert_stmt"}

SQL = re.compile(r"\s*(?:WITH|SELECT|INSERT|UPDATE|DELETE)\b")

TOLD = re.compile(r"(?:log\.\w+|change|print)\(")
"""Calls that only tell somebody what happens."""


class Mutation(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """One of our own."""

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """The tests have them."""
        return ()


def parts(node: NodeOrLeaf) -> list[NodeOrLeaf]:
    """Return what a node is made of; a leaf is made of nothing."""
    return list(node.children) if isinstance(node, BaseNode) else []


class OnStatements(Mutation):
    """Mutates a string that is an SQL statement, in one way."""

    kind: Callable[[Statement], Iterator[Splices]]

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        """Yield the string's place once for every mutation."""
        for _ in self._mutations(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        """Return the string with one mutation made."""
        code = node.get_code(include_prefix=False)
        prefix = node.get_first_leaf().prefix
        mutated: NodeOrLeaf = parso.parse(prefix + spliced(code, self._mutations(node)[index]))
        return mutated

    def _mutations(self, node: NodeOrLeaf) -> list[Splices]:
        inside = node.parent.type if node.parent else None  # in others, or a docstring
        if node.type not in ("string", "strings") or inside in ("strings", "simple_stmt"):
            return []
        text = _blank(node.get_code(include_prefix=False))
        return list(type(self).kind(Statement(text))) if SQL.match(text) else []


def _blank(code: str) -> str:
    """Return one or several literals with blanks for all that is not their text."""
    quotes = re.compile(r'"""(.*?)"""|"(.*?)"', re.DOTALL)
    text = [" "] * len(code)
    for found in quotes.finditer(code):
        for start, end in (found.span(group) for group in (1, 2) if found[group] is not None):
            text[start:end] = code[start:end]
    return "".join(text)


class WithoutCall(Mutation):
    """A call that stands for itself is not made."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        """Yield the place of such a call."""
        if node.type == "simple_stmt" and _is_call(call := parts(node)[0]):
            yield call.start_pos, call.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        """Return the statement without the call."""
        assert index == 0
        assert isinstance(node, BaseNode)
        prefix = node.get_first_leaf().prefix
        node.children[0] = parso.parse(f"{prefix}pass")
        return node


def _is_call(node: NodeOrLeaf) -> bool:
    if node.type not in ("atom_expr", "power"):
        return False
    last = parts(node)[-1]
    return last.type == "trailer" and bool(parts(last)[0].get_code(include_prefix=False) == "(")


class Unconditional(Mutation):
    """What is asked in an `if` is never so, or always."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        """Yield the place of the question twice."""
        if node.type == "if_stmt":
            question = parts(node)[1]
            for _ in range(2):
                yield question.start_pos, question.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        """Return the statement with its question asked in vain; what it assigns is assigned."""
        assert isinstance(node, BaseNode)
        asked = node.children[1].get_code(include_prefix=False)
        taken = f" (({asked}) and False)" if index == 0 else f" (({asked}) or True)"
        node.children[1] = parso.parse(taken)
        return node


class Uncaught(Mutation):
    """An exception that a handler names is not caught by it, but one that nothing raises."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        """Yield the place of each that is named."""
        for caught in _caught(node):
            yield caught.start_pos, caught.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        """Return the handler's first line with another exception."""
        caught = _caught(node)[index]
        assert caught.parent
        named = caught.parent.children
        prefix = caught.get_first_leaf().prefix
        named[named.index(caught)] = parso.parse(f"{prefix}FloatingPointError")
        return node


def _caught(node: NodeOrLeaf) -> list[NodeOrLeaf]:
    """Return what a handler names, by itself or in parentheses."""
    if node.type != "except_clause":
        return []
    named = parts(node)[1]
    if named.type != "atom":
        return [named]
    inside = parts(named)[1]
    return parts(inside)[::2] if inside.type == "testlist_comp" else [inside]


OWN: dict[str, type[Operator]] = {
    "WithoutCall": WithoutCall,
    "Uncaught": Uncaught,
    "Unconditional": Unconditional,
    **{
        f"SQL_{kind.__name__}": type(kind.__name__, (OnStatements,), {"kind": staticmethod(kind)})
        for kind in KINDS
    },
}

cosmic_ray.plugins.OPERATOR_PROVIDERS["fantasia"] = OWN

NAMES = (*(f"core/{name}" for name in CORE), *(f"fantasia/{name}" for name in OWN))


def is_sql(name: str) -> bool:
    """Whether an operator mutates SQL."""
    return name.startswith("fantasia/SQL_")


def kind(name: str) -> str:
    """Return what an operator mutates, such as comparisons, whatever it makes of them."""
    return name if is_sql(name) else name.partition("_")[0]


def left_alone(node: NodeOrLeaf, name: str) -> bool:
    """Whether a node is no part of what a program does, or is to be told only."""
    if name == "core/RemoveDecorator":
        return False
    if "BinaryOperator" in name and node.parent and node.parent.type not in SUMS:
        return True
    if name == "core/AddNot" and any(part.type == "namedexpr_test" for part in parts(node)):
        return True  # `not x := …` is no Python, and nothing notices what does not run
    here: NodeOrLeaf | None = parts(node)[0] if node.type == "simple_stmt" else node
    while here is not None:
        if here.type in LEFT_ALONE or _annotates(here) or _is_told(here) or _is_for_types(here):
            return True
        here = here.parent
    return False


def _annotates(node: NodeOrLeaf) -> bool:
    above = node.parent
    if above is None:
        return False
    in_assignment = above.type == "annassign" and node is above.children[1]
    return in_assignment or (isinstance(above, Function) and node is above.annotation)


def _is_for_types(node: NodeOrLeaf) -> bool:
    if node.type != "if_stmt":
        return False
    return bool(parts(node)[1].get_code(include_prefix=False) == "TYPE_CHECKING")


def _is_told(node: NodeOrLeaf) -> bool:
    return _is_call(node) and bool(TOLD.match(node.get_code(include_prefix=False)))
