"""What Discord's documentation lets a request say, and what a request says beyond it.

Source: Discord's reference of messages, embeds, components, modals and interaction responses.
"""

from collections.abc import Iterator, Sequence
from typing import Any

ROW, BUTTON, SELECT, TEXT_INPUT, LABEL = 1, 2, 3, 4, 18
SELECTS = (SELECT, 5, 6, 7, 8)
"""Choices of what the bot offers, and of members, roles or channels."""
MESSAGES, CHOICES, MODAL = (4, 7), 8, 9
PREMIUM, LINK = 6, 5

EMBED = (("title", 256), ("description", 4096))
PARTS = (("footer", "text", 2048), ("author", "name", 256))


def problems(method: str, path: str, said: Any) -> list[str]:
    """Return what Discord would refuse of a request."""
    if not isinstance(said, dict):
        return []
    found = list(_halves(said))
    if path.endswith("/callback"):
        found += _response(said["type"], said.get("data") or {})
    elif method in ("POST", "PATCH") and ("/messages" in path or "/webhooks" in path):
        found += _message(said, empty=method == "PATCH")
    return found


def _response(kind: int, data: dict[str, Any]) -> Iterator[str]:
    if kind in MESSAGES:
        yield from _message(data, empty=kind != MESSAGES[0])
    elif kind == CHOICES:
        yield from _choices(data["choices"])
    elif kind == MODAL:
        yield from _modal(data)


def _message(message: dict[str, Any], *, empty: bool) -> Iterator[str]:
    embeds, rows = message.get("embeds") or [], message.get("components") or []
    yield from _long("content", message.get("content") or "", 0, 2000)
    if not (empty or message.get("content") or embeds or rows or message.get("attachments")):
        yield "an empty message"
    yield from _many("embeds", embeds, 10)
    for embed in embeds:
        yield from _embed(embed)
    total = sum(len(text) for embed in embeds for text in _texts(embed))
    if total > 6000:
        yield f"embeds of {total} characters"
    yield from _rows(rows)


def _embed(embed: dict[str, Any]) -> Iterator[str]:
    for name, most in EMBED:
        yield from _long(name, embed.get(name, "-"), 1, most)
    for name, key, most in PARTS:
        yield from _long(name, embed.get(name, {}).get(key, "-"), 1, most)
    yield from _many("fields", embed.get("fields", []), 25)
    for field in embed.get("fields", []):
        yield from _long("name of a field", field["name"].strip(), 1, 256)
        yield from _long(f"value of {field['name']}", field["value"].strip(), 1, 1024)
    if not any(embed.get(name) for name in ("title", "description", "fields", "image", "author")):
        yield "an empty embed"


def _texts(embed: dict[str, Any]) -> Iterator[str]:
    yield from (embed.get(name, "") for name, _ in EMBED)
    yield from (embed.get(name, {}).get(key, "") for name, key, _ in PARTS)
    yield from (field[key] for field in embed.get("fields", []) for key in ("name", "value"))


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from _many("rows", rows, 5)
    items = [item for row in rows for item in row["components"]]
    yield from _distinct("custom ids", [item["custom_id"] for item in items if "custom_id" in item])
    for row in rows:
        selects = any(item["type"] in SELECTS for item in row["components"])
        yield from _many("components of a row", row["components"], 1 if selects else 5, least=1)
    for item in items:
        yield from _select(item) if item["type"] in SELECTS else _button(item)


def _button(button: dict[str, Any]) -> Iterator[str]:
    yield from _long("label of a button", button.get("label") or "-", 1, 80)
    if button["style"] == PREMIUM:
        if not button.get("sku_id") or button.get("label") or button.get("custom_id"):
            yield f"a premium button with more or less than a SKU: {button}"
    elif button["style"] != LINK:
        yield from _long("custom id", button.get("custom_id") or "", 1, 100)
        if not button.get("label") and not button.get("emoji"):
            yield "a button with nothing on it"


def _select(select: dict[str, Any]) -> Iterator[str]:
    yield from _long("custom id", select["custom_id"], 1, 100)
    yield from _long("placeholder", select.get("placeholder") or "", 0, 150)
    if select["type"] != SELECT:  # Discord itself fills it
        yield from _many("defaults", select.get("default_values", []), select["max_values"])
        return
    yield from _many("options", select["options"], 25, least=1)
    yield from _distinct("values", [option["value"] for option in select["options"]])
    for option in select["options"]:
        for name in ("label", "value"):
            yield from _long(f"{name} of an option", option[name], 1, 100)
        yield from _long("description of an option", option.get("description") or "-", 1, 100)


def _modal(modal: dict[str, Any]) -> Iterator[str]:
    yield from _long("title of a modal", modal["title"], 1, 45)
    yield from _long("custom id", modal["custom_id"], 1, 100)
    yield from _many("components of a modal", modal["components"], 5, least=1)
    fields = [label["component"] for label in modal["components"]]
    yield from _distinct("custom ids", [field["custom_id"] for field in fields])
    for label in modal["components"]:
        yield from _long("label", label["label"], 1, 45)
        yield from _long("description of a label", label.get("description") or "", 0, 100)
        field = label["component"]
        if (label["type"], field["type"]) == (LABEL, TEXT_INPUT):
            most = field.get("max_length") or 4000
            if not field.get("min_length", 0) <= most <= 4000:
                yield f"a field of at most {most} characters"
            yield from _long(f"value of {field['custom_id']}", field.get("value") or "", 0, most)
            yield from _long("placeholder", field.get("placeholder") or "", 0, 100)
            yield from _long("custom id", field["custom_id"], 1, 100)


def _choices(choices: list[dict[str, Any]]) -> Iterator[str]:
    yield from _many("choices", choices, 25)
    yield from _distinct("names", [choice["name"] for choice in choices])
    for choice in choices:
        yield from _long("name of a choice", choice["name"], 1, 100)
        if isinstance(choice["value"], str):
            yield from _long("value of a choice", choice["value"], 1, 100)


def _halves(said: object) -> Iterator[str]:
    """Yield the texts that are none because they hold half a character."""
    if isinstance(said, str):
        try:
            said.encode()
        except UnicodeEncodeError:
            yield f"{said!r} is no text"
    elif isinstance(said, dict):
        for value in said.values():
            yield from _halves(value)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _halves(value)


def _long(what: str, text: str, least: int, most: int) -> Iterator[str]:
    if not least <= len(text) <= most:
        yield f"{what} of {len(text)} characters: {text[:60]!r}"


def _many(what: str, found: Sequence[object], most: int, least: int = 0) -> Iterator[str]:
    if not least <= len(found) <= most:
        yield f"{len(found)} {what}"


def _distinct(what: str, found: Sequence[object]) -> Iterator[str]:
    if len(set(found)) < len(found):
        yield f"{what} that are not distinct"
