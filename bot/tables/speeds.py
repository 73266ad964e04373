"""The table of speeds: what each engine has managed with each model."""

from dataclasses import asdict, dataclass
from datetime import datetime

from bot.tables.database import Reader, Transaction, read
from bot.values import Speed

SLOWEST_PACE = 3600.0
"""The slowest credible pace, in seconds of work per second of music."""

NEWEST_WEIGHT = 0.2
"""How much the newest piece counts in a pace."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a speed belongs to: on another device, or in another precision, it starts afresh."""

    engine: str
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
        DELETE FROM speeds WHERE engine = :engine AND model = :model
            AND (device <> :device OR precision <> :precision)
        """,
        asdict(setup),
    )
    await tx.execute(
        """
        INSERT INTO speeds (engine, model, device, precision, pace, slots)
        VALUES (:engine, :model, :device, :precision, :pace, :slots)
        ON CONFLICT (engine, model) DO UPDATE SET slots = excluded.slots,
            pace = IIF(pace > 0 AND pace <= :slowest, pace, excluded.pace)
        """,
        {**asdict(setup), "pace": pace, "slowest": SLOWEST_PACE, "slots": slots},
    )


async def made(tx: Transaction, engine: str, model: str, pace: float, length: float) -> None:
    """Note that a piece of this many seconds was made, so it fits, and its pace if credible."""
    await tx.execute(
        """
        UPDATE speeds SET pace = CASE
                WHEN NOT (:pace > 0 AND :pace <= :slowest) THEN pace
                WHEN pace > 0 AND pace <= :slowest THEN pace + :newest * (:pace - pace)
                ELSE :pace
            END,
            fits = MAX(fits, :length), too_long = IIF(too_long > :length, too_long, NULL)
        WHERE engine = :engine AND model = :model
        """,
        {
            "engine": engine,
            "model": model,
            "pace": pace,
            "slowest": SLOWEST_PACE,
            "newest": NEWEST_WEIGHT,
            "length": length,
        },
    )


async def ran_out(tx: Transaction, engine: str, model: str, length: float, now: datetime) -> None:
    """Note that a piece of this many seconds ran out of memory, alone and take by take.

    Earlier successes that were no shorter no longer count.
    """
    await tx.execute(
        """
        UPDATE speeds SET too_long = MIN(COALESCE(too_long, ?1), ?1), too_long_at = ?2,
            fits = IIF(fits < ?1, fits, 0)
        WHERE engine = ?3 AND model = ?4
        """,
        (length, now.timestamp(), engine, model),
    )


async def of(reader: Reader, engine: str) -> dict[str, Speed]:
    """Return what is known of an engine's models, by their names."""
    return (await by_engine(reader)).get(engine, {})


async def by_engine(reader: Reader) -> dict[str, dict[str, Speed]]:
    """Return what is known of the models of each engine that there is, by their names.

    A pace that cannot be is not known.
    """
    rows = await reader.fetch(
        """
        SELECT speeds.* FROM speeds JOIN engines ON engines.name = speeds.engine
        WHERE pace > 0 AND pace <= ?
        ORDER BY model
        """,
        (SLOWEST_PACE,),
    )
    known: dict[str, dict[str, Speed]] = {}
    for row in rows:
        known.setdefault(row["engine"], {})[row["model"]] = read(Speed, row)
    return known
