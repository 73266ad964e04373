"""What the bot and its engine's child process say to each other: one JSON object a line.

The bot sends `Render`, `Cancel` and `Finish`; the child answers with `Ready` once, then with
`Loading` and `Loaded` where a render's model is not in memory, `Progress`, `Previewed`, `Took`, and
exactly one of `Done`, `Failed` and `Cancelled` for each render. During a long step it says that it
is `Alive`.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from bot.values import Fault

# What may stand in a report: the child is not trusted.
Number = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Names = Annotated[tuple[Name, ...], Meta(max_length=100)]
SlotCount = Annotated[int, Meta(ge=1, le=1000)]
"""Takes side by side."""
Pace = Annotated[float, Meta(gt=0, le=3600)]
"""Seconds of work per second of music."""

FOUND_BY_THE_BOT = (Fault.TIME, Fault.CRASH)
"""Faults that no child reports of itself."""


class ProtocolError(ValueError):
    """A line that is not a message of this protocol."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the protocol; each subclass is one tag."""


class Part(Message, frozen=True, kw_only=True):
    """One take to render: its number from 1, its seed, and the files to write.

    `preview` is where its first half minute goes while the rest is made, if that is wanted.
    """

    number: int
    seed: int
    audio: str
    codes: str
    preview: str | None = None


class Render(Message, frozen=True, kw_only=True, tag="render"):
    """Render `seconds` of music for each part; `model` is one of `Ready.models`.

    `options` are by the names that the model's card gives them; what it has and they lack is as
    usual. `lyrics` are sung, in the `language` of this code (such as en), by a model that sings.
    With `prefix`, a file of codes, each part holds that music and `seconds` more, which follow it.
    `picture` is where a picture of all parts goes. Parts are made side by side, or `one_by_one`
    where the memory was too small for that.
    """

    id: int
    prompt: str
    seconds: int
    model: str
    parts: tuple[Part, ...]
    options: dict[str, float]
    lyrics: str | None = None
    language: str | None = None
    prefix: str | None = None
    picture: str | None = None
    one_by_one: bool = False


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """Stop a render and keep nothing."""

    id: int


class Finish(Message, frozen=True, kw_only=True, tag="finish"):
    """Stop a render early and keep the music made so far, as soon as there is some."""

    id: int


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model turned out to be once it was loaded, which its card said before.

    `sample_rate` in Hz; `options` are those that it heeds, each with what it does unless told.
    """

    sample_rate: Annotated[int, Meta(ge=1, le=1_000_000)]
    channels: Annotated[int, Meta(ge=1, le=8)]
    options: dict[Name, float]


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The engine is loaded; `pace` is in seconds of work per second of music, as measured.

    It, the `slots`, takes side by side, and what it `confirms` are those of the first of `models`,
    which is loaded; the others are when they are asked for, save those that are `unfit`: they need
    more memory than there is, or are not on this machine. They are named as their cards in `cards`
    are, where all is that is known without loading.
    """

    models: Annotated[Names, Meta(min_length=1)]
    device: Name
    precision: Name
    slots: SlotCount
    pace: Pace
    confirms: Confirmation
    unfit: Names = ()


class Alive(Message, frozen=True, kw_only=True, tag="alive"):
    """The child is in the middle of a long step, which is over in `left` seconds at most."""

    left: Annotated[float, Meta(ge=0, le=86_400)]


class OfRender(Message, frozen=True, kw_only=True):
    """What is reported of the render that has this `id`."""

    id: Number


class Loading(OfRender, frozen=True, kw_only=True, tag="loading"):
    """A render waits while its model is loaded, and so do all others."""

    model: Name


class Loaded(OfRender, frozen=True, kw_only=True, tag="loaded"):
    """A render's model is loaded; `models` are all that are, the rest is of this one."""

    model: Name
    models: Names
    precision: Name
    slots: SlotCount
    pace: Pace
    confirms: Confirmation


class Progress(OfRender, frozen=True, kw_only=True, tag="progress"):
    """Steps finished of all steps of a render, over all its takes and windows; never goes back."""

    done: Number
    total: Number


class Previewed(OfRender, frozen=True, kw_only=True, tag="preview"):
    """The previews of all takes are in place."""


class Took(OfRender, frozen=True, kw_only=True, tag="take"):
    """A take's files are in place; `seconds` is the music's length."""

    number: Number
    seconds: Annotated[float, Meta(gt=0, le=86_400)]


class Done(OfRender, frozen=True, kw_only=True, tag="done"):
    """A render has ended and all its takes were announced."""


class Failed(OfRender, frozen=True, kw_only=True, tag="failed"):
    """A render failed, or (`Fault.LOAD`, id 0) the engine cannot start, for this `reason`."""

    fault: Fault
    reason: str

    def __post_init__(self) -> None:
        """Refuse what the bot itself finds out; msgspec makes it an error of the line."""
        if self.fault in FOUND_BY_THE_BOT:
            raise ValueError(f"no child reports the fault {self.fault}")


class Cancelled(OfRender, frozen=True, kw_only=True, tag="cancelled"):
    """A render was cancelled and left no files."""


Command = Render | Cancel | Finish
InterimReport = Loading | Loaded | Progress | Previewed | Took
"""What is reported of a render while it goes on."""
RenderReport = InterimReport | Done | Failed | Cancelled
Report = Ready | RenderReport | Alive

PREVIEW_SECONDS = 30
"""Seconds of a preview."""

T = TypeVar("T")


def encode(message: Message) -> bytes:
    """Return the message as one line of JSON, newline included."""
    return msgspec.json.encode(message) + b"\n"


def decode(decoder: msgspec.json.Decoder[T], line: bytes) -> T:
    """Return the message in a line; raise ProtocolError if there is none."""
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{error}: {line[:80]!r}") from error


command: Callable[[bytes], Command] = partial(decode, msgspec.json.Decoder(Command))
"""Return what the bot asks for in a line; raise ProtocolError for anything else."""

report: Callable[[bytes], Report] = partial(decode, msgspec.json.Decoder(Report))
"""Return what the child says in a line; raise ProtocolError for anything else."""


def fingerprint() -> str:
    """Return a name of this protocol: another one, however little it differs, has another."""
    schema = msgspec.json.schema_components([Command, Report])
    return hashlib.sha256(msgspec.json.encode(schema, order="sorted")).hexdigest()[:8]
