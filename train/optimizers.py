"""Optimizers and learning rates of the stages."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from ganspect.train.linear_path import LinearPath

Schedule: TypeAlias = Literal["constant", "cosine"]
OptimizerName: TypeAlias = Literal["adam", "rmsprop"]

LINEAR_SHARE = 0.1
"""Linear paths start where they should be, and learn at this share of the rate."""

_WARM_UP_STEPS = 50
_LEVEL_SHARE = 0.3
_LAST_FACTOR = 0.01


def adam(networks: Iterable[nn.Module], rate: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return Adam for the parameters of some networks, fused: in one pass over them in place of a dozen."""
    return torch.optim.Adam(_groups(networks, rate), lr=rate, betas=betas, fused=True)


def rmsprop(networks: Iterable[nn.Module], rate: float) -> torch.optim.Optimizer:
    """Return RMSProp for the parameters of some networks."""
    return torch.optim.RMSprop(_groups(networks, rate), lr=rate)


def set_rates(optimizers: Iterable[torch.optim.Optimizer], schedule: Schedule, progress: float, steps: int) -> None:
    """Set the learning rates of the next step.

    Args:
        optimizers: made by this module.
        schedule: `constant`, or `cosine`: warmed up over 50 steps, level, from 30% on a cosine down to 1%.
        progress: share of the steps taken, in [0, 1).
        steps: of the stage.
    """
    factor = 1.0 if schedule == "constant" else _cosine(progress, steps)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take one step down the gradient of a scalar loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _cosine(progress: float, steps: int) -> float:
    warm = min(1.0, (progress * steps + 1) / _WARM_UP_STEPS)
    fallen = max(0.0, (progress - _LEVEL_SHARE) / (1 - _LEVEL_SHARE))
    return warm * (_LAST_FACTOR + (1 - _LAST_FACTOR) * (1 + math.cos(math.pi * fallen)) / 2)


def _groups(networks: Iterable[nn.Module], rate: float) -> Sequence[dict[str, Any]]:
    networks = list(networks)
    modules = [module for network in networks for module in network.modules()]
    linear = [parameter for module in modules if isinstance(module, LinearPath) for parameter in module.parameters()]
    others = {id(parameter) for parameter in linear}
    rest = [p for network in networks for p in network.parameters() if id(p) not in others]
    groups = [{"params": rest, "full_rate": rate}, {"params": linear, "full_rate": rate * LINEAR_SHARE}]
    return [group for group in groups if group["params"]]
