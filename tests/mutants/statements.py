"""What may be mutated in the text of an SQL statement, so that it stays valid SQL.

A mutation keeps every parameter in its place: a condition is not cut out but made to count for
nothing, and so is an assignment.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*') | (?P<word>[A-Za-z_][\w.]*) | (?P<parameter>\?\d*|:\w+)
    | (?P<number>\d+(?:\.\d+)?) | (?P<sign><>|<=|>=|[=<>+*/(),-])
    """,
    re.VERBOSE,
)

STATES = {
    "status": (
        *("queued", "running", "rendered", "delivered"),
        *("undeliverable", "failed", "cancelled"),
    ),
    "state": ("waiting", "rendered", "dropped"),
    "kind": ("result", "preview", "failure"),
}
"""What a column may hold; in a mutant the next takes a word's place."""

OTHERWISE = {
    "=": ("<>",),
    "<>": ("=",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
}
"""What each comparison becomes: off by the limit itself, and the contrary."""

ENDS = {
    *("WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "RETURNING", "UNION", "SET"),
    *("ON", "JOIN", "LEFT", "INNER", "CROSS"),
}
"""What ends the conditions after WHERE or ON, and the items of a list."""

Splices = tuple[tuple[int, int, str], ...]
"""Places in the text, from and to, each with what stands there instead."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or sign, where it stands, and how many parentheses it stands in."""

    text: str
    kind: str
    start: int
    end: int
    depth: int

    @property
    def word(self) -> str:
        """The keyword or name, in capitals."""
        return self.text.upper() if self.kind == "word" else ""


Run = list[Token]


class Statement:
    """An SQL statement's text, read as far as a mutation needs it."""

    def __init__(self, text: str) -> None:
        self.tokens: Run = []
        depth, between = 0, False
        for found in TOKEN.finditer(text):
            depth -= found[0] == ")"
            ends = between and found[0].upper() == "AND"  # of its two limits, and no junction
            between = (between and not ends) or found[0].upper() == "BETWEEN"
            kind = "limits" if ends else str(found.lastgroup)
            self.tokens.append(Token(found[0], kind, *found.span(), depth))
            depth += found[0] == "("

    def runs(self, *openers: str) -> Iterator[Run]:
        """Yield what follows each of these keywords, up to where its clause ends."""
        for at, token in enumerate(self.tokens):
            if token.word in openers and (run := self._clause(at + 1, token.depth)):
                yield run

    def _clause(self, at: int, depth: int) -> Run:
        run: Run = []
        for token in self.tokens[at:]:
            if token.depth < depth or (token.depth == depth and token.word in ENDS):
                break
            if token.word == "CONFLICT":
                return []
            run.append(token)
        return run

    def conditions(self) -> Iterator[tuple[Run, str]]:
        """Yield every condition that counts by itself, and the AND or OR that it is part of."""
        for run in self.runs("WHERE", "ON"):
            yield from _conditions(run, "AND")

    def assignments(self) -> Iterator[tuple[str, Run]]:
        """Yield each column of a SET and what it is set to."""
        for run in self.runs("SET"):
            for item in _split(run, ","):
                yield item[0].text, item[2:]

    def calls(self, name: str) -> Iterator[tuple[Token, list[Run]]]:
        """Yield the calls of a function and their arguments."""
        for at, (token, following) in enumerate(pairwise(self.tokens)):
            if token.word == name and following.text == "(":
                inside: Run = []
                for argument in self.tokens[at + 2 :]:
                    if argument.depth <= token.depth:
                        break
                    inside.append(argument)
                yield token, _split(inside, ",")


def _split(run: Run, *separators: str) -> list[Run]:
    depth = run[0].depth if run else 0
    parts: list[Run] = [[]]
    for token in run:
        separates = token.word in separators or (token.text == "," and "," in separators)
        if token.depth == depth and separates:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _conditions(run: Run, joined: str) -> Iterator[tuple[Run, str]]:
    for word in ("OR", "AND"):  # AND binds closer
        parts = _split(run, word)
        if len(parts) > 1:
            for part in parts:
                yield from _conditions(part, word)
            return
    yield run, joined
    if run[0].text == "(" and run[-1].text == ")" and run[1].word != "SELECT":
        inside = run[1:-1]
        if all(token.depth > run[0].depth for token in inside):
            yield from (found for found in _conditions(inside, joined) if found[0] != inside)


def _around(run: Run, before: str, after: str) -> Splices:
    return (run[0].start, run[0].start, before), (run[-1].end, run[-1].end, after)


def _instead(token: Token, text: str) -> Splices:
    return ((token.start, token.end, text),)


def without_condition(sql: Statement) -> Iterator[Splices]:
    """A condition does not count, NOT EXISTS among them."""
    for condition, joined in sql.conditions():
        yield _around(condition, "(", " OR TRUE)" if joined == "AND" else " AND FALSE)")


def other_junction(sql: Statement) -> Iterator[Splices]:
    """All of several conditions, or any of them."""
    for run in sql.runs("WHERE", "ON"):
        for token in run:
            if token.word in ("AND", "OR"):
                yield _instead(token, "OR" if token.word == "AND" else "AND")


def other_comparison(sql: Statement) -> Iterator[Splices]:
    """The limit itself is let in or kept out, or the contrary is asked."""
    set_to = {
        id(token) for run in sql.runs("SET") for item in _split(run, ",") for token in item[:2]
    }
    for token in sql.tokens:
        if id(token) not in set_to:
            for other in OTHERWISE.get(token.text, ()):
                yield _instead(token, other)
    yield from _negations(sql)


def _negations(sql: Statement) -> Iterator[Splices]:
    for before, token in pairwise(sql.tokens):
        if token.word in ("IN", "EXISTS"):
            negated = before.word == "NOT"
            yield _instead(before, "") if negated else _instead(token, f"NOT {token.text}")
        if before.word == "IS":
            negated = token.word == "NOT"
            yield ((before.start, token.end, "IS"),) if negated else _instead(before, "IS NOT")


def other_state(sql: Statement) -> Iterator[Splices]:
    """A row in another state is meant, or left in another state."""
    column = ""
    for token in sql.tokens:
        name = token.text.rpartition(".")[2]
        column = name if token.kind == "word" and name in STATES else column
        states, state = STATES.get(column, ()), token.text.strip("'")
        if token.kind == "text" and state in states:
            yield _instead(token, f"'{states[(states.index(state) + 1) % len(states)]}'")


def without_assignment(sql: Statement) -> Iterator[Splices]:
    """A column keeps its value."""
    for column, value in sql.assignments():
        yield _around(value, f"IIF(TRUE, {column}, ", ")")


def other_sum(sql: Statement) -> Iterator[Splices]:
    """Another sign; the smaller for the greater; a value, or its substitute, is not looked at."""
    for before, token, after in zip(sql.tokens, sql.tokens[1:], sql.tokens[2:], strict=False):
        factor = before.kind in ("word", "number", "parameter") or before.text == ")"
        every = before.word == "SELECT" or before.text.endswith(".") or after.text == ")"
        if token.text in "+-":
            yield _instead(token, "-" if token.text == "+" else "+")
        elif token.text == "*" and factor and not every:
            yield _instead(token, "+")
    for name, other in (("MIN", "MAX"), ("MAX", "MIN")):
        for call, _ in sql.calls(name):
            yield _instead(call, other)
    for _, arguments in sql.calls("COALESCE"):
        for argument in arguments:
            yield _around(argument, "IIF(TRUE, NULL, ", ")")


def other_number(sql: Statement) -> Iterator[Splices]:
    """One more; a yes for a no."""
    for before, token in pairwise(sql.tokens):
        if token.text.isdecimal() and before.word != "SELECT" and before.text != ",":
            yield _instead(token, {"0": "1", "1": "0"}.get(token.text, str(int(token.text) + 1)))


def other_order(sql: Statement) -> Iterator[Splices]:
    """The last first."""
    for run in sql.runs("ORDER"):
        for key in _split(run[1:], ","):
            last = key[-1]
            if last.word in ("DESC", "ASC"):
                yield _instead(last, "ASC" if last.word == "DESC" else "DESC")
            else:
                yield ((last.end, last.end, " DESC"),)


def fewer_words(sql: Statement) -> Iterator[Splices]:
    """Without DISTINCT, without OR IGNORE, without one of several keys of a GROUP BY."""
    for token, following in pairwise(sql.tokens):
        if token.word == "DISTINCT":
            yield _instead(token, "")
        if token.word == "OR" and following.word == "IGNORE":
            yield ((token.start, following.end, ""),)
    for run in sql.runs("GROUP"):
        keys = _split(run[1:], ",")
        for key, other in pairwise(keys):
            yield ((key[0].start, other[0].start, ""),)


KINDS: tuple[Callable[[Statement], Iterator[Splices]], ...] = (
    without_condition,
    other_junction,
    other_comparison,
    other_state,
    without_assignment,
    other_sum,
    other_number,
    other_order,
    fewer_words,
)


def spliced(text: str, splices: Splices) -> str:
    """Return a text with splices made, and without the hints that an index must be used."""
    hints = ((*hint.span(), "") for hint in re.finditer(r"INDEXED BY \w+", text))
    for start, end, new in sorted([*splices, *hints], reverse=True):
        text = text[:start] + new + text[end:]
    return text
