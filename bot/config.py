"""The settings, read from the environment once and checked all together."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dotenv import load_dotenv

from bot.engine.cards import EngineName
from bot.errors import OperatorError
from bot.rules.tiers import DEFAULTS
from bot.values import Keep, Limits

TOKEN = re.compile(r"[\w-]{23,}\.[\w-]{6,}\.[\w-]{27,}", re.ASCII)
SNOWFLAKE = re.compile(r"[0-9]{15,20}")
MOST_SLOTS = 64
MODEL = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


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

    discord_token: str | None = field(default=None, repr=False)
    discord_token_file: Path | None = None
    data_dir: Path = Path("data")
    engine: EngineName = EngineName.MUSICGEN
    musicgen_model: str = "facebook/musicgen-small"
    models: tuple[str, ...] = ()
    models_loaded: int | None = None
    device: DeviceSetting = DeviceSetting.AUTO
    precision: PrecisionSetting = PrecisionSetting.AUTO
    kernels: KernelsSetting = KernelsSetting.AUTO
    slots: int | None = None
    finish: Switch = Switch.ON
    max_seconds: int = 120
    max_waiting: int = 100
    max_waiting_per_server: int = 50
    idle_lane: Switch = Switch.OFF
    servers: frozenset[int] | None = None
    server_seconds_per_day: int | None = None
    skus: Mapping[int, str] = field(default_factory=dict)
    owner_guild_id: int | None = None
    code_url: str | None = None
    dev_guild_id: int | None = None
    drain_seconds: int = 60
    keep_days: int = 30
    keep_gb: int = 20
    keep_words_days: int | None = None
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    debuggable: Switch = Switch.OFF

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Config":
        """Read the settings; raise OperatorError that lists everything wrong with them."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        for key, read in READERS.items():
            found = environment.get(key, "").strip()
            try:
                values |= {key.lower(): read(found)} if found else {}
            except ValueError as problem:
                problems.append(f"{key}: {problem}")
        try:
            values = _token_of_a_file(environment) | values
        except ValueError as problem:
            problems.append(str(problem))
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
        load_dotenv(dotenv)
    except OSError as error:
        raise OperatorError(f"{dotenv.absolute()} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # other bytes than UTF-8, or NUL
        raise OperatorError(
            f"{dotenv.absolute()} is not UTF-8 (perhaps UTF-16 or Latin-1): save it as UTF-8."
        ) from error
    return Config.from_env(os.environ)


def engine_environment() -> dict[str, str]:
    """Return the environment of the engine's process: of this one only what it needs."""
    return {key: value for key, value in os.environ.items() if _needed(key)}


def _needed(key: str) -> bool:
    return bool(ENGINES.fullmatch(key)) and "TOKEN" not in key


ENGINES = re.compile(
    "PATH|HOME|USER|LOGNAME|TZ|LANG|LANGUAGE|LC_.*|TMPDIR|TEMP|TMP|XDG_CACHE_HOME|XDG_RUNTIME_DIR"
    "|VIRTUAL_ENV|CC|PYTHON.*|LD_LIBRARY_PATH|LD_PRELOAD|MALLOC_.*|GLIBC_TUNABLES"
    "|HF_HOME|HF_HUB_.*|TRANSFORMERS_.*|AUDIOCRAFT_.*|TORCH.*|PYTORCH_.*|TRITON_.*"
    "|CUDA_.*|NVIDIA_.*|CUBLAS_.*|CUDNN_.*|HIP_.*|HSA_.*|ROCR_.*"
    "|OMP_.*|GOMP_.*|KMP_.*|MKL_.*|DNNL_.*|ONEDNN_.*|OPENBLAS_.*|NUMBA_.*"
)
"""Keys that Python, torch and their libraries heed."""

CREDENTIAL = "discord_token"
"""What systemd's LoadCredential= is to call the token."""


def _token_of_a_file(environment: Mapping[str, str]) -> dict[str, object]:
    """Read the token from DISCORD_TOKEN_FILE, or from what systemd hands over; raise ValueError."""
    named = environment.get("DISCORD_TOKEN_FILE", "").strip()
    handed = environment.get("CREDENTIALS_DIRECTORY", "").strip()
    if not named and not (handed and (Path(handed) / CREDENTIAL).exists()):
        return {}
    path = _path(named) if named else Path(handed) / CREDENTIAL
    try:
        return {"discord_token": _token(path.read_text().strip())}
    except OSError as error:
        raise ValueError(f"DISCORD_TOKEN_FILE: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"DISCORD_TOKEN_FILE: in {path}: {error}") from error


def _path(found: str) -> Path:
    try:
        return Path(found).expanduser()
    except RuntimeError:
        raise ValueError(
            f"found {found!r}, but there is no such home folder: set HOME, or give the full path"
        ) from None


def _token(found: str) -> str:
    if not TOKEN.fullmatch(found):
        raise ValueError(
            f"found {len(found)} characters that are not a bot token; copy the token from the Bot "
            "page of your application in Discord's developer portal (three parts joined by dots)"
        )
    return found


def _model(found: str) -> str:
    if not MODEL.fullmatch(found) and not Path(found).is_dir():
        raise ValueError(
            f"found {found!r}; it must be a repository such as facebook/musicgen-small, or a "
            "folder with state_dict.bin and compression_state_dict.bin"
        )
    return found


def _models(found: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_model(part.strip()) for part in found.strip(" ,").split(",")))


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(found: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", found) or not least <= int(found) <= most:
            raise ValueError(f"found {found!r}; it must be a whole number from {least} to {most}")
        return int(found)

    return read


def _auto(found: str) -> int | None:
    if found.lower() == "auto":
        return None
    if not re.fullmatch("[0-9]{1,2}", found) or not 1 <= int(found) <= MOST_SLOTS:
        raise ValueError(f"found {found!r}; it must be auto or a number from 1 to {MOST_SLOTS}")
    return int(found)


def _snowflake(found: str) -> int:
    if not SNOWFLAKE.fullmatch(found):
        raise ValueError(f"found {found!r}; it must be a server id, a number of 15 to 20 digits")
    return int(found)


def _snowflakes(found: str) -> frozenset[int]:
    return frozenset(_snowflake(part) for part in re.split(r"[\s,]+", found.strip(" ,")))


def _skus(found: str) -> dict[int, str]:
    names = {tier.key: tier.name for tier in DEFAULTS}
    skus = {}
    for part in found.strip(" ,").split(","):
        sku, _, tier = part.partition(":")
        if not SNOWFLAKE.fullmatch(sku.strip()) or tier.strip().casefold() not in names:
            raise ValueError(
                f"found {part.strip()!r}; it must be SKU:tier, comma-separated, where the tier is "
                f"one of {', '.join(names.values())}"
            )
        skus[int(sku)] = tier.strip().casefold()
    return skus


def _url(found: str) -> str:
    if not re.fullmatch(r"https://[^\s<>()]+", found):
        raise ValueError(f"found {found!r}; it must be an address that begins with https://")
    return found


def _host(found: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", found):
        raise ValueError(f"found {found!r}; it must be an address such as 127.0.0.1 or 0.0.0.0")
    return found


def _choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(found: str) -> StrEnum:
        try:
            return kind(found.lower())
        except ValueError:
            accepted = ", ".join(kind)
            raise ValueError(f"found {found!r}; it must be one of {accepted}") from None

    return read


READERS: dict[str, Callable[[str], object]] = {
    "DISCORD_TOKEN": _token,
    "DISCORD_TOKEN_FILE": _path,
    "DATA_DIR": _path,
    "ENGINE": _choice(EngineName),
    "MUSICGEN_MODEL": _model,
    "MODELS": _models,
    "MODELS_LOADED": _auto,
    "DEVICE": _choice(DeviceSetting),
    "PRECISION": _choice(PrecisionSetting),
    "KERNELS": _choice(KernelsSetting),
    "SLOTS": _auto,
    "FINISH": _choice(Switch),
    "MAX_SECONDS": _number(1, 120),
    "MAX_WAITING": _number(1, 100_000),
    "MAX_WAITING_PER_SERVER": _number(1, 100_000),
    "IDLE_LANE": _choice(Switch),
    "SERVERS": _snowflakes,
    "SERVER_SECONDS_PER_DAY": _number(0, 100_000_000),
    "SKUS": _skus,
    "OWNER_GUILD_ID": _snowflake,
    "CODE_URL": _url,
    "DEV_GUILD_ID": _snowflake,
    "DRAIN_SECONDS": _number(0, 3600),
    "KEEP_DAYS": _number(1, 36_500),
    "KEEP_GB": _number(1, 1_000_000),
    "KEEP_WORDS_DAYS": _number(1, 36_500),
    "LOG_LEVEL": _choice(LogLevel),
    "LOG_FORMAT": _choice(LogFormat),
    "METRICS_PORT": _number(1, 65_535),
    "METRICS_HOST": _host,
    "DEBUGGABLE": _choice(Switch),
}
