"""Where and in which precision a run is trained: chosen once, recorded, and kept when it is continued.

bf16 with channels-last weights is three to five times as fast as fp32 on CPUs with AMX, and slower on those
without, so it is measured.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ganspect.errors import ConfigError

PrecisionChoice: TypeAlias = Literal["auto", "fp32", "bf16"]
Precision: TypeAlias = Literal["fp32", "bf16"]
DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda"]

_TRIALS = 3


@dataclass(frozen=True)
class Compute:
    """Device and precision of a run.

    Attributes:
        device: `cpu` or `cuda`.
        precision: `fp32`, or `bf16` for autocast; weights, optimizers and gradient penalties are fp32 in both.
    """

    device: torch.device
    precision: Precision

    def autocast(self) -> torch.autocast:
        """Return the context in which networks run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def exact(self) -> torch.autocast:
        """Return the context in which they run in fp32 whatever the precision."""
        return torch.autocast(self.device.type, enabled=False)

    def place(self, network: nn.Module) -> None:
        """Move a network to the device, its convolutions channels-last."""
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def images(self, images: Tensor) -> Tensor:
        """Return images on the device, channels-last."""
        return images.to(self.device).contiguous(memory_format=torch.channels_last)


def choose_device(choice: DeviceChoice) -> torch.device:
    """Return the device asked for; `auto` is the GPU where there is one.

    Raises:
        ConfigError: a GPU was asked for and PyTorch sees none.
    """
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise ConfigError("training.device is 'cuda', but PyTorch sees no GPU here; set it to auto or cpu")
    return torch.device("cuda" if choice != "cpu" and available else "cpu")


def choose_precision(
    choice: PrecisionChoice, device: torch.device, trial: Callable[[Compute], Callable[[], object]]
) -> Precision:
    """Return the precision asked for; `auto` is the one that is measured faster.

    Args:
        choice: from the recipe.
        device: to train on.
        trial: returns a function that takes one training step of a throw-away system.
    """
    if choice != "auto":
        return choice
    half, full = (_seconds(trial(Compute(device, precision))) for precision in ("bf16", "fp32"))
    return "bf16" if half < full else "fp32"


@contextmanager
def deterministic() -> Iterator[None]:
    """Have PyTorch choose deterministic algorithms while the block runs, and restore its settings after it."""
    # cuBLAS asks for this variable; without it, its sums depend on the order of its streams.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warned)
        memory.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def _seconds(step: Callable[[], object]) -> float:
    step()
    durations = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - start)
    return min(durations)
