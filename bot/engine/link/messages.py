"""What the bot and the link say to each other, one JSON object a line; and what comes from a node.

The bot begins and ends sessions, each of which is one engine's process on its node, and tells them
the lines of bot.engine.messages. The link says which engines there are, what sessions say, and of
each session once that it has ended.
"""

import msgspec

from bot.engine.messages import Message, decode


class Begin(Message, frozen=True, kw_only=True, tag="begin"):
    """Start an engine's process."""

    session: int
    engine: str


class Tell(Message, frozen=True, kw_only=True, tag="tell"):
    """Hand a line to it."""

    session: int
    line: bytes


class End(Message, frozen=True, kw_only=True, tag="end"):
    """End it; once that is answered, no file of its comes any more."""

    session: int


class Engines(Message, frozen=True, kw_only=True, tag="engines"):
    """The engines that are there now, each by its node and its place on it; said at every look."""

    names: tuple[str, ...]


class LineSaid(Message, frozen=True, kw_only=True, tag="said"):
    """A line that an engine's process says; the files that it announces are in place."""

    session: int
    line: bytes


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """A session has ended: why, as the end of a sentence on the engine."""

    session: int
    reason: str


class Trouble(Message, frozen=True, kw_only=True, tag="trouble"):
    """What keeps an engine, or all of them, from being there: a sentence."""

    reason: str


class NodeLine(msgspec.Struct, frozen=True):
    """What an engine's process says on its node."""

    line: bytes


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a job's file, by the name that its order gives it; the `last` one may be empty."""

    job: int
    name: str
    data: bytes
    last: bool


class Over(msgspec.Struct, frozen=True):
    """The process on the node has ended, and why."""

    reason: str


class Heartbeat(msgspec.Struct, frozen=True):
    """The actor on the node is there, while the process says nothing."""


Item = NodeLine | Chunk | Over | Heartbeat
"""What comes from a node, in the order in which it was said there."""

ToLink = Begin | Tell | End
FromLink = Engines | LineSaid | Ended | Trouble

_to_link: msgspec.json.Decoder[ToLink] = msgspec.json.Decoder(ToLink)
_from_link: msgspec.json.Decoder[FromLink] = msgspec.json.Decoder(FromLink)


def to_link(line: bytes) -> ToLink:
    """Return what the bot wants of the link; raise ProtocolError for anything else."""
    return decode(_to_link, line)


def from_link(line: bytes) -> FromLink:
    """Return what the link says; raise ProtocolError for anything else."""
    return decode(_from_link, line)
