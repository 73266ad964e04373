"""The plain, frozen values that travel between the rooms.

The one long file: a flat list without behaviour, which is searched by name and never read through.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Status(StrEnum):
    """Where a job is: queued → running → rendered → delivered, or one of three other ends."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


UNRENDERED = (Status.QUEUED, Status.RUNNING)
"""States of a job whose music is not all there yet."""


class TakeState(StrEnum):
    """Whether a take's music exists."""

    WAITING = "waiting"
    RENDERED = "rendered"
    DROPPED = "dropped"


class PostKind(StrEnum):
    """What a message holds: the music, the failure, or the preview."""

    RESULT = "result"
    FAILURE = "failure"
    PREVIEW = "preview"


class Route(StrEnum):
    """The ways to reach a member, in the order they are tried."""

    CHANNEL = "channel"
    FOLLOWUP = "followup"
    DIRECT = "direct"


class ChannelKind(StrEnum):
    """What kind of channel it is, for those who want to look into it."""

    CHANNEL = "channel"
    THREAD = "thread"
    PRIVATE_THREAD = "private thread"


class EngineState(StrEnum):
    """What an engine's process is doing."""

    LOADING = "loading"
    READY = "ready"
    LOST = "lost"
    """It died or cannot start, and is started again after a pause."""


class Fault(StrEnum):
    """Why there is no music, in one word from the engine to the job's row.

    The engine finds that it cannot start (LOAD, which is no job's), that it cannot do what is asked
    for, that the memory is too small, that a file cannot be written, or that the numbers which it
    computed are not finite. The bot finds that it took too long, or that it ended; and of music
    that was rendered that it is GONE from the disk, or that POSTING it failed by a fault of ours.
    """

    LOAD = "load"
    REQUEST = "request"
    MEMORY = "memory"
    DISK = "disk"
    NUMBERS = "numbers"
    TIME = "time"
    CRASH = "crash"
    GONE = "gone"
    POSTING = "posting"


class Source(StrEnum):
    """Where a member's tier comes from: a server's admins, or what the operator sells."""

    DEFAULT = "default"
    ROLE = "role"
    GIVEN = "given"
    USER_SUBSCRIPTION = "user subscription"
    SERVER_SUBSCRIPTION = "server subscription"

    @property
    def sold(self) -> bool:
        """Whether it is a subscription that the operator sells."""
        return self in (Source.USER_SUBSCRIPTION, Source.SERVER_SUBSCRIPTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a member may request; lengths in seconds of music.

    `key` stays when the tier is renamed. `models` holds the names of models, or `*` for every one
    that is loaded. `stars` is how many pieces a member may keep. `weight` is the share in the
    queue. `link` is where to get the tier.
    """

    key: str
    name: str
    price: str
    longest: int
    takes: int
    per_day: int
    waiting: int
    stars: int
    models: frozenset[str]
    weight: int
    link: str | None = None

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """What tiers are ordered by: the highest has the most music a day."""
        return (self.per_day, self.longest, self.takes, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A tier of a server and how to get it: roles by id, a Discord subscription by its SKU.

    `everybody`: it is granted by the role that everybody has.
    """

    tier: Tier
    roles: tuple[int, ...] = ()
    sku: int | None = None
    everybody: bool = False

    @property
    def sold(self) -> bool:
        """Whether something leads to it that may have a price: a role, a link, a subscription."""
        return not self.everybody and bool(self.roles or self.sku or self.tier.link)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What an interaction says about its member now.

    Ids of the member's roles, of the SKUs that they and that the server subscribe to, and of the
    channel with all that it lies in.
    """

    roles: frozenset[int] = frozenset()
    user_skus: frozenset[int] = frozenset()
    server_skus: frozenset[int] = frozenset()
    places: frozenset[int] = frozenset()


NOBODY = Presence()
"""Of somebody who is not there: no roles and no subscriptions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A member's tier, where it comes from, and the seconds a day that it is worth to them."""

    tier: Tier
    source: Source
    per_day: int
    role: int | None = None
    until: datetime | None = None
    override: bool = False

    @property
    def everywhere(self) -> bool:
        """Whether its allowance counts over all servers."""
        return self.source is Source.USER_SUBSCRIPTION and not self.override

    def up_to(self, seconds: int, longest: int) -> int:
        """Return so many seconds, or as many as may be had in one piece where that is less."""
        return max(1, min(seconds, longest, self.tier.longest, self.per_day))

    @property
    def server_weight(self) -> int:
        """Its weight among servers: an admin's tiers gain nothing there."""
        return self.tier.weight if self.source.sold else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's limits: lengths and sums in seconds of music, waiting in jobs.

    `servers` holds the ids of those that may use the studio, None lets all. With an `idle_lane`,
    members who have used up their day are admitted while nobody waits.
    """

    max_seconds: int = 120
    waiting: int = 100
    waiting_per_server: int = 50
    server_seconds_per_day: int | None = None
    servers: frozenset[int] | None = None
    allowed: bool | None = None
    idle_lane: bool = False

    def allows(self, guild: int) -> bool:
        """Whether a server may use the studio."""
        if self.allowed is not None:
            return self.allowed
        return self.servers is None or guild in self.servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How many days delivered music is kept, and how many bytes at most.

    After so many days the `words` and names of ended jobs are erased; None: they are kept.
    """

    days: int = 30
    most: int = 20 * 10**9
    words: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The take that a piece goes on from, by its id, and the seconds of music that it holds."""

    take: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a member asks for, as they put it; what is None is for the studio to choose.

    Without `seconds` it has the default length, or less if their tier allows no more. `options` are
    those of the model that they set, by name; `language` is the code of that of the `lyrics`.
    """

    prompt: str
    seconds: int | None = None
    takes: int = 1
    model: str | None = None
    seed: int | None = None
    options: Mapping[str, float] = field(default_factory=dict)
    lyrics: str | None = None
    language: str | None = None
    parent: Parent | None = None
    edited_from: int | None = None


class Draft(NamedTuple):
    """What was typed into a form, by the names of its fields; `form` says into which."""

    form: str
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The requested music: `takes` pieces of `seconds` each; take i has seed `seed + i`.

    `options` are the model's, all that it has, as they were when it was requested.
    With a `parent_take` each extends that take's music, which lasts `before` seconds.
    """

    prompt: str
    seconds: int
    model: str
    seed: int
    takes: int = 1
    options: Mapping[str, float] = field(default_factory=dict)
    lyrics: str | None = None
    language: str | None = None
    parent_take: int | None = None
    before: float = 0.0
    edited_from: int | None = None

    @property
    def written(self) -> Mapping[str, str]:
        """All that its member wrote, by how a sentence about it begins."""
        style = "prompt" if self.lyrics is None else "style"
        words = {f"{style} contains": self.prompt, "lyrics contain": self.lyrics or ""}
        return {begun: text for begun, text in words.items() if text}

    @property
    def work(self) -> int:
        """The seconds of music to make."""
        return self.seconds * self.takes

    @property
    def length(self) -> float:
        """The seconds of a piece, with the music that it extends."""
        return self.before + self.seconds

    @property
    def slug(self) -> str:
        """A file's name after the words of the prompt: letters, digits and hyphens only."""
        words = unicodedata.normalize("NFKD", self.prompt).encode("ascii", "ignore").decode()
        return "-".join(re.findall("[a-z0-9]+", words.lower()))[:40].strip("-") or "piece"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked and where; `token` answers the interaction for 15 minutes.

    Of a thread, `parent_id` is the channel that it belongs to. `interaction_id` is known while the
    request is made: Discord may deliver it twice.
    """

    guild_id: int
    channel_id: int
    user_id: int
    user_name: str
    application_id: int
    token: str
    channel_kind: ChannelKind | None = None
    parent_id: int | None = None
    interaction_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who wants to see pieces, and in which server; `views` says into which channels they look."""

    guild: int
    user: int
    manager: bool
    views: Callable[[Origin], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of the queue. `progress` is 0…1; `shown` is the status its message last showed.

    Its member may give it a `title`, and star it. Once its preview was `heard` it is no longer
    cancelled but stopped. Its `engine` renders it, or `spent` so many seconds on it.
    """

    id: int
    status: Status
    origin: Origin
    request: Request
    tier: str
    priority: int
    attempts: int
    deaths: int
    care: int
    progress: float
    reason: str | None
    created_at: datetime
    charged_at: datetime
    started_at: datetime | None
    rendered_at: datetime | None
    status_message_id: int | None
    shown: Status | None
    fault: Fault | None = None
    spent: float | None = None
    engine: str | None = None
    stopping: bool = False
    heard: bool = False
    picture: str | None = None
    title: str | None = None
    starred: bool = False
    deleted: bool = False
    forgotten: bool = False

    @property
    def idle(self) -> bool:
        """Whether it is free and lets all others pass."""
        return self.priority < 0


class Head(NamedTuple):
    """The oldest of a member's waiting jobs for a model, and for the idle lane, by its number."""

    id: int
    guild: int
    user: int
    model: str
    priority: int

    @property
    def idle(self) -> bool:
        """Whether it is free and lets others pass."""
        return self.priority < 0


class QueuedJob(NamedTuple):
    """A job as the queue sees it; a tuple, since computing one place takes the whole queue.

    `weight` counts among the members of a server, `server_weight` among servers. `work` is the
    seconds of music to make, of all takes; each goes on from the `before` seconds of another. An
    `engine` renders it; one that waits has it next. Of the heads of the queue, which are all that a
    claim looks at, `before` and the `options` are not read.
    """

    id: int
    guild: int
    user: int
    weight: int
    server_weight: int
    work: int
    takes: int
    model: str
    priority: int = 0
    attempts: int = 0
    passed: int = 0
    engine: str | None = None
    before: float = 0.0
    options: Mapping[str, float] = MappingProxyType({})

    @property
    def idle(self) -> bool:
        """Whether it is free and lets others pass."""
        return self.priority < 0

    @property
    def alone(self) -> bool:
        """Whether it is rendered beside no other."""
        return self.attempts > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A job's status message: where it stands, what it shows, and what it should show."""

    job: int
    channel: int
    status: Status
    shown: Status | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One piece of a job; `audio`, `codes` and `preview` are paths below the data folder.

    `seconds` is its length, `added` the whole seconds that are new in it.
    """

    id: int
    job_id: int
    number: int
    seed: int
    state: TakeState
    charged_seconds: int
    seconds: float | None
    added: int | None
    audio: str | None
    codes: str | None
    preview: str | None


class Target(NamedTuple):
    """Where files go: to a server, 0 for direct messages; as an answer to an interaction or not.

    An answer has the member's upload limit, which can be higher than the server's.
    """

    guild: int
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """The music of a message: where it goes, and the bytes of each file."""

    target: Target
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What a target recently refused: numbers of files, each with the largest file's bytes."""

    refused: tuple[tuple[int, int], ...] = ()

    def refuse(self, sizes: Sequence[int]) -> bool:
        """Whether files were refused that were no larger and no more than these, in bytes."""
        return any(files <= len(sizes) and least <= max(sizes) for files, least in self.refused)


class Share(NamedTuple):
    """What of a job a message holds: a take by its number, and which part of it.

    0 is all takes, or the whole of one. Of a preview or a failure the part says how many of its
    kind came before it.
    """

    take: int = 0
    part: int = 0


EVERYTHING = Share()
"""All takes of a job, whole, in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A message that is owed to a member.

    `attempts` counts tries that had no clear answer, `faults` those that we failed ourselves.
    `place` is the id of its channel, or of the member who gets a direct message. `tried_at` is when
    it was first sent without an answer that settles it. One that was `withdrawn` meanwhile is not
    sent again, but must be checked: it may already be there.
    """

    id: int
    job_id: int
    place: int
    share: Share
    kind: PostKind
    nonce: str
    route: Route
    attempts: int
    due_at: datetime
    message_id: int | None
    delivered_at: datetime | None
    tried_at: datetime | None = None
    refused: bool = False
    withdrawn: bool = False
    faults: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The message of /panel in a channel of a server, all by their ids."""

    guild: int
    channel: int
    message: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A message of the bot, by its id and channel, that is to be deleted."""

    message: int
    channel: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was erased of a member: how many pieces, and the ids of the messages about them."""

    pieces: int
    messages: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a waiting or running job stands: its place from 1 and when it should be done.

    Neither is known for a job too far back in the queue. A `paused` studio starts nothing, for this
    reason.
    """

    job: Job
    place: int | None
    engine: EngineState
    ends_at: datetime | None
    paused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Seconds that an admin gave a member, and how many are left."""

    id: int
    seconds: int
    left: int
    reason: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The terms of a job: its tier, its price, and the seconds that each grant pays.

    `day` is the one that it is charged to. In the `idle` lane it is free.
    """

    request: Request
    membership: Membership
    day: str
    price: int = 0
    draws: tuple[tuple[int, int], ...] = ()
    idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of a member's ledger: seconds taken (negative) or given, when, and for what."""

    at: datetime
    seconds: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Where a member stands: seconds, jobs by number, and the ledger, newest first."""

    membership: Membership
    used: int
    left: int
    resets_at: datetime
    grants: tuple[Grant, ...]
    waiting: tuple[int, ...]
    running: tuple[int, ...]
    ledger: tuple[Entry, ...]
    block: "Block | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A member may not request music, for ever or until a time."""

    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """What admins set for a member, the tier by its key; None leaves it to the server's rules."""

    tier: str | None = None
    tier_until: datetime | None = None
    per_day: int | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """A member for whom something is set, with what; the tier by its name."""

    member: int
    settings: MemberSettings
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """For how many members of a server something is set: how many of each kind are in force."""

    blocked: int
    tiers: int
    allowances: int
    grants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who changed something."""

    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A line of the audit log."""

    id: int
    at: datetime
    actor: Actor
    action: str
    member_id: int | None
    subject: str
    before: str | None
    after: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A post that is due, with what it needs.

    `parent` is the take that its job extends. `limits` is what is known of the files that fit.
    `since` is an id of Discord's which is older than any message of it; None: none is known.
    """

    post: Post
    job: Job
    takes: tuple[Take, ...]
    parent: Take | None = None
    limits: UploadLimits = UploadLimits()
    since: int | None = None

    @property
    def refunded(self) -> int:
        """The seconds of its job that were refunded before anything of it was posted."""
        charged = sum(take.charged_seconds for take in self.takes)
        return 0 if self.job.idle else self.job.request.work - charged

    @property
    def target(self) -> Target:
        """Where its files go."""
        return Target(0 if self.post.route is Route.DIRECT else self.job.origin.guild_id)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Discord accepted the message, which has this id, with this music if it has any."""

    message: int
    upload: Upload | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Discord or its edge has a passing fault: wait at least this many seconds.

    Later posts in the same place wait as well.
    """

    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Oversized:
    """The message is too large: Discord refused this upload, or None if it need not be asked.

    `smaller`: there is a smaller format to try.
    """

    upload: Upload | None = None
    smaller: bool = False


class Unsent(StrEnum):
    """Why a message cannot be sent as it is, by who is at fault.

    Discord refused it; the disk has lost the music or cannot read it; a bug of ours broke it; or it
    is no longer wanted.
    """

    REFUSED = "refused"
    GONE = "gone"
    UNREADABLE = "unreadable"
    BROKEN = "broken"
    UNWANTED = "unwanted"


Outcome = Delivered | Later | Oversized | Unsent
"""The outcome of sending a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What a model has managed here.

    `pace` is in seconds of work per second of music, and `slots` how many takes it renders side by
    side; `fits` is the longest piece that was made, and `too_long` the shortest that the memory was
    too small for, in seconds; `too_long_at` is when that was, in UTC seconds since 1970.
    """

    model: str
    pace: float
    slots: int
    fits: float
    too_long: float | None
    too_long_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What an engine was last seen doing, and the `trouble` of one that was lost.

    A `paused` one starts nothing. It can render its `models`, of which those that are `unfit` need
    more memory than it has; `loaded` are in memory. `speeds` are by model.
    """

    name: str
    state: EngineState = EngineState.LOADING
    trouble: str | None = None
    paused: bool = False
    device: str | None = None
    precision: str | None = None
    models: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    speeds: Mapping[str, Speed] = field(default_factory=dict)

    @property
    def able(self) -> frozenset[str]:
        """The models that it can render."""
        return frozenset(self.models) - frozenset(self.unfit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How the studio is doing; `waited` is for how many seconds the oldest waiting job has.

    `faults` counts failed jobs by kind; `rendered` is the jobs and seconds of music of the last 24
    hours; `owed` counts messages; `files` and `kept_bytes` are of the kept music.
    """

    engines: tuple[EngineStatus, ...]
    paused: str | None
    draining: bool
    jobs: Mapping[Status, int]
    faults: Mapping[Fault, int]
    waited: float
    owed: int
    rendered: tuple[int, int]
    files: int
    kept_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What /about shows besides the models: the version, and where the code is."""

    version: str = ""
    code: str | None = None
