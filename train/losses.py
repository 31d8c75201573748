"""Losses: of the adversarial stages, on logits (N,), and of reconstructions.

Logits are higher for what the discriminator takes for real.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

GanLossName: TypeAlias = Literal["non-saturating", "wgan-gp", "hinge"]
Distance: TypeAlias = Literal["squared", "absolute"]


@dataclass(frozen=True)
class GanLoss:
    """One kind of adversarial loss.

    Attributes:
        discriminator: of (real logits, fake logits), a scalar.
        generator: of fake logits, a scalar.
        spectral_norm: the discriminator's weights are kept at spectral norm 1 (Miyato et al. 2018).
        gradient_penalty: its gradient's norm is drawn to 1 (Gulrajani et al. 2017).
        classifies: logits above 0 mean real; those of a Wasserstein critic have no such border.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    spectral_norm: bool = False
    gradient_penalty: bool = False
    classifies: bool = True


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return mean (|gradient of the critic| - 1)^2 between real and generated images (WGAN-GP, eq. 3).

    Args:
        critic: images to logits.
        real: (N,C,H,W).
        fake: (N,C,H,W).
        mix: (N,1,1,1) in [0, 1], the share of the real image.
    """
    between = (fake + mix * (real - fake)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return torch.square(norm - 1).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Return mean |gradient of the discriminator|^2 / 2 at real images (R1, Mescheder et al. 2018, eq. 9, gamma 1).

    Args:
        discriminator: images to logits.
        real: (N,C,H,W).
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return torch.square(gradient).flatten(1).sum(1).mean() / 2


def mean_distance(difference: Tensor, distance: Distance) -> Tensor:
    """Return mean |difference| or mean difference^2, a scalar, of any shape."""
    return (difference.abs() if distance == "absolute" else difference.square()).mean()


def _non_saturating(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy, -log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014)."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def _wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def _raise_logits(fake: Tensor) -> Tensor:
    return -fake.mean()


def _fool(fake: Tensor) -> Tensor:
    return functional.softplus(-fake).mean()


GAN_LOSSES: Mapping[GanLossName, GanLoss] = {
    "non-saturating": GanLoss(_non_saturating, _fool),
    "wgan-gp": GanLoss(_wasserstein, _raise_logits, gradient_penalty=True, classifies=False),
    "hinge": GanLoss(_hinge, _raise_logits, spectral_norm=True),
}
