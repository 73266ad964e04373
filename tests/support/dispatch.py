"""Sees each operator that torch dispatches."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatch(TorchDispatchMode):
    """For as long as the block, what is dispatched goes by `run`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return what an operator makes of its arguments."""
        return operator(*args, **options)
