"""Numbers as people say them."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 piece", "2 pieces"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(seconds: float) -> str:
    """Return a length of time, exact to the second: "120 s", "20 min", "1 h 5 min 3 s".

    What a piece can last stays in seconds, as members enter it.
    """
    if seconds <= 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
