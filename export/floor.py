"""How fast an iteration could be: its floating-point operations over the rate of plain matrix products.

ms = 1000 * step_gflop(step) / matrix_gflop_per_s(torch.float32)
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_SIDE = 2048
_TRIAL_SIDE = 512
_REPETITIONS = 12
_LONGEST_S = 6.0
_HOPELESS_GFLOP_PER_S = 1.0


def step_gflop(step: Callable[[], object]) -> float:
    """Return what PyTorch counts of a step, forward and backward: matrix products and convolutions, 10^9 operations."""
    with _Counter() as counter:
        step()
    return float(counter.operations / 1e9)


def matrix_gflop_per_s(dtype: torch.dtype) -> float | None:
    """Return the best rate of a product of two large square matrices on all cores, the best of several.

    None where the processor has no instructions for this type, so that such a product would take minutes.
    """
    if _best_rate(dtype, _TRIAL_SIDE) < _HOPELESS_GFLOP_PER_S:
        return None
    return _best_rate(dtype, _SIDE)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up by PyTorch's own formulas; its FlopCounterMode stumbles over `autograd.grad` of an input."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.operations += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


def _best_rate(dtype: torch.dtype, side: int) -> float:
    left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
    shortest_s, begin_s = float("inf"), time.perf_counter()
    with torch.inference_mode():
        left @ right
        for _ in range(_REPETITIONS):
            before_s = time.perf_counter()
            left @ right
            shortest_s = min(shortest_s, time.perf_counter() - before_s)
            if time.perf_counter() - begin_s > _LONGEST_S:
                break
    return 2 * side**3 / shortest_s / 1e9
