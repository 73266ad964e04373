"""The days that music is charged to: they begin at midnight UTC."""

from datetime import UTC, datetime, timedelta


def day(now: datetime) -> str:
    """Return the UTC day that `now` counts towards, as YYYY-MM-DD."""
    return now.astimezone(UTC).date().isoformat()


def day_began(now: datetime) -> datetime:
    """Return the last midnight UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def resets_at(now: datetime) -> datetime:
    """Return when the day's allowance resets: the next midnight UTC."""
    return day_began(now) + timedelta(days=1)
