"""What is set for all models of an engine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the operator chose for all models.

    The `device` is "cpu", "cuda" or, by "auto", the better one. How many `slots` there are depends
    on the memory if nothing is said. `kernels` are "native", "torch" or by "auto" those that the
    processor can run. `finishes` says whether the sound is finished, or kept as the model made it.
    """

    device: str
    precision: str = "auto"
    slots: int | None = None
    kernels: str = "auto"
    finishes: bool = True
