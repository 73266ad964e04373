"""The settings, read from the environment once and checked all together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from dotenv import load_dotenv

from bot import parsing
from bot.engine.cards import EngineName
from bot.errors import OperatorError
from bot.values import Keep, Limits

MOST_SLOTS = 64


class DeviceSetting(StrEnum):
    """Where MusicGen runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


class PrecisionSetting(StrEnum):
    """What MusicGen's weights are kept in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


class KernelsSetting(StrEnum):
    """What multiplies on a CPU, in bfloat16 and in int8."""

    AUTO = "auto"
    NATIVE = "native"
    TORCH = "torch"


class Switch(StrEnum):
    """Whether something is done."""

    ON = "on"
    OFF = "off"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Who reads the log: people or machines."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator sets; the field `x_y` is the key `X_Y`."""

    discord_token: Annotated[str | None, parsing.token] = field(default=None, repr=False)
    discord_token_file: Annotated[Path | None, parsing.path] = None
    data_dir: Annotated[Path, parsing.path] = Path("data")
    engine: EngineName = EngineName.MUSICGEN
    engines: Annotated[int | Literal["ray"] | None, parsing.engines] = None
    ray_address: Annotated[str | None, parsing.ray_address] = None
    musicgen_model: Annotated[str, parsing.model] = "facebook/musicgen-small"
    models: Annotated[tuple[str, ...], parsing.models] = ()
    models_loaded: Annotated[int | None, parsing.number(1, MOST_SLOTS, or_auto=True)] = None
    device: DeviceSetting = DeviceSetting.AUTO
    precision: PrecisionSetting = PrecisionSetting.AUTO
    kernels: KernelsSetting = KernelsSetting.AUTO
    slots: Annotated[int | None, parsing.number(1, MOST_SLOTS, or_auto=True)] = None
    finish: Switch = Switch.ON
    max_seconds: Annotated[int, parsing.number(1, 120)] = 120
    max_waiting: Annotated[int, parsing.number(1, 100_000)] = 100
    max_waiting_per_server: Annotated[int, parsing.number(1, 100_000)] = 50
    idle_lane: Switch = Switch.OFF
    servers: Annotated[frozenset[int] | None, parsing.snowflakes] = None
    server_seconds_per_day: Annotated[int | None, parsing.number(0, 100_000_000)] = None
    skus: Annotated[Mapping[int, str], parsing.skus] = field(default_factory=dict)
    owner_guild_id: Annotated[int | None, parsing.snowflake] = None
    code_url: Annotated[str | None, parsing.url] = None
    dev_guild_id: Annotated[int | None, parsing.snowflake] = None
    drain_seconds: Annotated[int, parsing.number(0, 3600)] = 60
    keep_days: Annotated[int, parsing.number(1, 36_500)] = 30
    keep_gb: Annotated[int, parsing.number(1, 1_000_000)] = 20
    keep_words_days: Annotated[int | None, parsing.number(1, 36_500)] = None
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    metrics_port: Annotated[int | None, parsing.number(1, 65_535)] = None
    metrics_host: Annotated[str, parsing.host] = "127.0.0.1"
    debuggable: Switch = Switch.OFF

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Config":
        """Read the settings; raise OperatorError that lists everything wrong with them."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            key = name.upper()
            (read,) = getattr(hint, "__metadata__", (parsing.choice(hint),))
            if found := environment.get(key, "").strip():
                try:
                    values[name] = read(found)
                except ValueError as problem:
                    problems.append(f"{key}: {problem}")
        if "discord_token" not in values:
            try:
                values |= _token_of_a_file(values.get("discord_token_file"), environment)
            except ValueError as problem:
                problems.append(f"DISCORD_TOKEN_FILE: {problem}")
        if not problems:
            problems += cls(**values)._at_odds()
        if problems:
            raise OperatorError("The configuration is wrong.\n  " + "\n  ".join(problems))
        return cls(**values)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The models that members can choose, the default first."""
        return self.models or (self.musicgen_model,)

    def keep(self) -> Keep:
        """Return how long, and how much of it, the music and the words are kept."""
        return Keep(days=self.keep_days, most=self.keep_gb * 10**9, words=self.keep_words_days)

    def limits(self) -> Limits:
        """Return the operator's limits."""
        return Limits(
            max_seconds=self.max_seconds,
            waiting=self.max_waiting,
            waiting_per_server=self.max_waiting_per_server,
            server_seconds_per_day=self.server_seconds_per_day,
            servers=self.servers,
            idle_lane=self.idle_lane is Switch.ON,
        )

    def _at_odds(self) -> list[str]:
        """Say which settings contradict each other."""
        if self.engines == "ray" and not self.ray_address:
            return ["RAY_ADDRESS: it must be set where ENGINES is ray (docs/cluster.md)"]
        words, music = self.keep_words_days, self.keep_days
        if words is None or words >= music:
            return []
        return [
            f"KEEP_WORDS_DAYS: found '{words}'; it must be at least KEEP_DAYS ({music}), since "
            "music is kept with its words"
        ]


def load(dotenv: Path = Path(".env")) -> Config:
    """Read the settings from the environment and, for what it lacks, from a .env file.

    Raises OperatorError that says what is wrong with them or with the file.
    """
    try:
        # It overrides nothing: what the environment says counts, as for any other program.
        load_dotenv(dotenv)
    except OSError as error:
        raise OperatorError(f"{dotenv.absolute()} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # other bytes than UTF-8, or NUL
        raise OperatorError(
            f"{dotenv.absolute()} is not UTF-8 (perhaps UTF-16 or Latin-1): save it as UTF-8."
        ) from error
    return Config.from_env(os.environ)


CREDENTIAL = "discord_token"
"""What systemd's LoadCredential= is to call the token."""


def _token_of_a_file(named: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Read the token from the file named, or from what systemd hands over; raise ValueError."""
    handed = environment.get("CREDENTIALS_DIRECTORY", "").strip()
    path = named or Path(handed) / CREDENTIAL
    # systemd sets its variable for any credential, so that there need be none of ours.
    if not named and not (handed and path.exists()):
        return {}
    try:
        return {"discord_token": parsing.token(path.read_text().strip())}
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"in {path}: {error}") from error
