"""The tests themselves see what Discord would refuse, each at its documented limit."""

from typing import Any

import pytest

from tests.support.limits import problems

HALF = "\ud83d"


def row(*items: dict[str, Any]) -> dict[str, Any]:
    return {"components": [{"components": list(items)}]}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"content": "x" * 2001}, "content of 2001"),
        ({"content": ""}, "an empty message"),
        ({"content": HALF}, "is no text"),
        ({"embeds": [{"title": "x" * 257}]}, "title of 257"),
        ({"embeds": [{"description": "x" * 4097}]}, "description of 4097"),
        ({"embeds": [{"fields": [{"name": "x", "value": " "}]}]}, "value of x of 0"),
        ({"embeds": [{"fields": [{"name": "x", "value": "x" * 1025}]}]}, "value of x of 1025"),
        ({"embeds": [{"fields": [{"name": "x", "value": "x"}] * 26}]}, "26 fields"),
        ({"embeds": [{"footer": {"text": "x" * 2049}}]}, "footer of 2049"),
        ({"embeds": [{"description": "x" * 3001}] * 2}, "embeds of 6002"),
        ({"embeds": [{}]}, "an empty embed"),
        ({"components": [{"components": [BUTTON := {"type": 2, "style": 1}]}]}, "nothing on it"),
        (
            {"components": [{"components": [{**BUTTON, "label": "x" * 81}]}]},
            "label of a button of 81",
        ),
        (
            {"components": [{"components": [{**BUTTON, "custom_id": "x" * 101}]}]},
            "custom id of 101",
        ),
        ({"components": [{"components": [{**BUTTON, "custom_id": "x"}] * 6}]}, "6 components"),
        ({"components": [{"components": [BUTTON]}] * 6}, "6 rows"),
        ({"components": [{"components": [{**BUTTON, "custom_id": "x"}] * 2}]}, "not distinct"),
        (
            {"components": [{"components": [{"type": 3, "custom_id": "x", "options": []}]}]},
            "0 options",
        ),
    ],
)
def test_what_is_beyond_a_limit_is_seen(said: dict[str, Any], problem: str) -> None:
    (found, *_) = [
        each for each in problems("POST", "/channels/1/messages", said) if problem in each
    ]
    assert found


def form(label: dict[str, Any] | None = None, field: dict[str, Any] | None = None) -> Any:
    """A form of one field, with these of its label's and its own properties."""
    component = {"type": 4, "custom_id": "x", **(field or {})}
    told = {"type": 18, "label": "x", "component": component, **(label or {})}
    return {"title": "x", "custom_id": "x", "components": [told]}


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        (8, {"choices": [{"name": "x" * 101, "value": 1}]}, "name of a choice of 101"),
        (8, {"choices": [{"name": "x", "value": ""}]}, "value of a choice of 0"),
        (8, {"choices": [{"name": "x", "value": 1}] * 2}, "names that are not distinct"),
        (8, {"choices": [{"name": str(each), "value": 1} for each in range(26)]}, "26 choices"),
        (9, {"title": "x" * 46, "custom_id": "x", "components": []}, "title of a modal of 46"),
        (9, {"title": "x", "custom_id": "x", "components": []}, "0 components of a modal"),
        (9, form(label={"label": "x" * 46}), "label of 46"),
        (9, form(label={"description": "x" * 101}), "description of a label of 101"),
        (9, form(field={"placeholder": "x" * 101}), "placeholder of 101"),
        (9, form(field={"value": "x" * 4001}), "value of x of 4001"),
    ],
)
def test_what_a_reply_may_not_say_is_seen(kind: int, data: dict[str, Any], problem: str) -> None:
    said = {"type": kind, "data": data}
    assert any(problem in each for each in problems("POST", "/interactions/1/x/callback", said))
