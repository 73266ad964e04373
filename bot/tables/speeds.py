"""The table of speeds: what this machine has managed, by model, device and precision."""

from dataclasses import asdict, dataclass
from datetime import datetime

from bot.tables import state
from bot.tables.database import Reader, Transaction, read
from bot.values import Speed

SLOWEST_PACE = 3600.0
"""The slowest credible pace, in seconds of work per second of music."""

NEWEST_WEIGHT = 0.2
"""How much the newest piece counts in a pace."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a speed belongs to."""

    model: str
    device: str
    precision: str


# A few steps at a start say less than whole pieces did: they never replace what those showed.
async def found(tx: Transaction, setup: Setup, pace: float, slots: int) -> None:
    """A model was loaded with so many slots, and a few steps had this pace.

    A pace that is known from pieces stays, unless it cannot be: then it is forgotten.
    """
    await tx.execute(
        """
        INSERT INTO speeds (model, device, precision, pace, slots)
        VALUES (:model, :device, :precision, :pace, :slots)
        ON CONFLICT (model, device, precision) DO UPDATE SET slots = excluded.slots,
            pace = IIF(pace > 0 AND pace <= :slowest, pace, excluded.pace)
        """,
        {**asdict(setup), "pace": pace, "slowest": SLOWEST_PACE, "slots": slots},
    )


async def made(tx: Transaction, setup: Setup, pace: float, length: float) -> None:
    """Note that a piece of this many seconds was made, so it fits, and its pace if credible."""
    await tx.execute(
        """
        UPDATE speeds SET pace = CASE
                WHEN NOT (:pace > 0 AND :pace <= :slowest) THEN pace
                WHEN pace > 0 AND pace <= :slowest THEN pace + :newest * (:pace - pace)
                ELSE :pace
            END,
            fits = MAX(fits, :length), too_long = IIF(too_long > :length, too_long, NULL)
        WHERE model = :model AND device = :device AND precision = :precision
        """,
        {
            **asdict(setup),
            "pace": pace,
            "slowest": SLOWEST_PACE,
            "newest": NEWEST_WEIGHT,
            "length": length,
        },
    )


async def ran_out(tx: Transaction, setup: Setup, length: float, now: datetime) -> None:
    """Note that a piece of this many seconds ran out of memory, alone and take by take.

    Earlier successes that were no shorter no longer count.
    """
    await tx.execute(
        """
        UPDATE speeds SET too_long = MIN(COALESCE(too_long, ?1), ?1), too_long_at = ?2,
            fits = IIF(fits < ?1, fits, 0)
        WHERE model = ?3 AND device = ?4 AND precision = ?5
        """,
        (length, now.timestamp(), setup.model, setup.device, setup.precision),
    )


async def here(reader: Reader, model: str) -> Speed | None:
    """Return what is known of a model on the device that the engine runs on."""
    return next((speed for speed in await all_here(reader) if speed.model == model), None)


async def all_here(reader: Reader) -> list[Speed]:
    """Return what is known of all models on the device that the engine runs on.

    A pace that cannot be is not known.
    """
    device, precision = await state.hardware(reader)
    rows = await reader.fetch(
        """
        SELECT * FROM speeds
        WHERE device = ? AND precision = ? AND pace > 0 AND pace <= ?
        ORDER BY model
        """,
        (device, precision, SLOWEST_PACE),
    )
    return [read(Speed, row) for row in rows]
