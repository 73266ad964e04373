"""Orders for engines, as a dispatcher would write them."""

from pathlib import Path

from bot.engine.messages import Part, Render


def order(
    folder: Path,
    prompt: str = "draw",
    number: int = 1,
    seconds: int = 2,
    takes: int = 1,
    prefix: str | None = None,
) -> Render:
    """Return an order whose files go into a folder's own one for music."""

    def path(name: str) -> str:
        return str(folder / "audio" / f"{number}-{name}")

    return Render(
        id=number,
        prompt=prompt,
        seconds=seconds,
        model="sketch",
        parts=tuple(
            Part(
                number=take,
                seed=take,
                audio=path(f"{take}.wav"),
                codes=path(f"{take}.npy"),
                preview=path(f"{take}.preview.wav") if seconds > 30 else None,
            )
            for take in range(1, takes + 1)
        ),
        options={},
        picture=path("picture.png"),
        prefix=prefix,
    )
