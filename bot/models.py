"""The plain, frozen values that travel between the rooms."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """Where a job is: queued → running → rendered → delivered, or one of the other three ends."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


class TakeState(StrEnum):
    """Whether a take's music exists."""

    WAITING = "waiting"
    RENDERED = "rendered"
    DROPPED = "dropped"


class PostKind(StrEnum):
    """What a message tells: the music, or that there is none."""

    RESULT = "result"
    FAILURE = "failure"


class Route(StrEnum):
    """The ways to reach a member, in the order they are tried."""

    CHANNEL = "channel"
    FOLLOWUP = "followup"
    DIRECT = "direct"


class EngineState(StrEnum):
    """What the engine's process is doing."""

    LOADING = "loading"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a member may ask for; lengths in seconds of music.

    `models` holds the names of models, or `*` for every one that is loaded.
    """

    name: str
    price: str
    longest: int
    takes: int
    per_day: int
    waiting: int
    models: frozenset[str]
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The music that is asked for: `takes` pieces of `seconds` each; take i has seed `seed + i`."""

    prompt: str
    seconds: int
    model: str
    seed: int
    takes: int = 1
    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    parent_take: int | None = None

    @property
    def slug(self) -> str:
        """A file's name after the words of the prompt: letters, digits and hyphens only."""
        words = unicodedata.normalize("NFKD", self.prompt).encode("ascii", "ignore").decode()
        return "-".join(re.findall("[a-z0-9]+", words.lower()))[:40].strip("-") or "piece"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked and where; `token` answers the interaction for 15 minutes."""

    guild_id: int
    channel_id: int
    user_id: int
    user_name: str
    application_id: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of the queue. `progress` is 0…1; `shown` is the status its message last told."""

    id: int
    status: Status
    origin: Origin
    request: Request
    tier: str
    allowance_seconds: int
    priority: int
    attempts: int
    progress: float
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    rendered_at: datetime | None
    status_message_id: int | None
    shown: Status | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One piece of a job; `audio` and `codes` are paths below the data folder."""

    id: int
    job_id: int
    number: int
    seed: int
    state: TakeState
    charged_seconds: int
    seconds: float | None
    audio: str | None
    codes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A message that is owed to a member; `attempts` counts tries that had no clear answer."""

    id: int
    job_id: int
    part: int
    kind: PostKind
    nonce: str
    route: Route
    attempts: int
    due_at: datetime
    message_id: int | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a waiting or running job stands: its place from 1 and when it should be done."""

    job: Job
    place: int
    engine: EngineState
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A post that is due, with what it has to tell."""

    post: Post
    job: Job
    takes: tuple[Take, ...]
