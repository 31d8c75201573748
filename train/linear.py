"""The linear path of generator and encoder, and its start at the PCA of the training images.

Aligned parts look alike pixel by pixel, and there a PCA reconstructs well. A generator W z + b + convolutions(z) that
starts as that PCA has its fidelity from the first step on; what the GAN then learns comes on top.

Latents are whitened by half: component j of deviation s has the latent v.x / sqrt(s), of deviation sqrt(s). Adam moves
every latent by the same length; on whitened latents the strong components would overshoot in the search while the weak
ones creep.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ganspect.errors import ConfigError

LARGEST_SAMPLE = 2048
"""Images, mirrored ones included, that the PCA is taken from at most: its cost grows with their number's cube."""

LEAST_DEVIATION = 1e-4
"""Components whose deviation is a smaller share of the first one's are left at zero: noise of the arithmetic."""


class LinearPath(nn.Linear):
    """A linear layer that stays in float32 under autocast: bf16 would round its pixels by a grey level."""

    def forward(self, values: Tensor) -> Tensor:
        """Turn (N,in) values into (N,out) float32."""
        if not torch.is_autocast_enabled(values.device.type):
            return super().forward(values)
        with torch.autocast(values.device.type, enabled=False):
            return super().forward(values.float())


FLIP_AXES = {"vertical": 2, "horizontal": 3}
"""Axes of (N,C,H,W) images along which a recipe's flips mirror."""


def start_at_pca(
    generator: nn.Module, encoder: nn.Module | None, images: Callable[[int], Tensor], flips: Sequence[str]
) -> Tensor:
    """Set the linear paths to a PCA, and let the convolutions beside them start near zero.

    Args:
        generator: with `linear`, and `layers` ending in a transposed convolution.
        encoder: with `linear`, and `layers` ending in a linear layer.
        images: returns at most so many training images, (N,C,H,W).
        flips: `vertical`, `horizontal`: directions in which mirrored images are as normal.

    Returns:
        (D,) deviation of each latent; 1 for latents beyond the PCA's components.

    Raises:
        ConfigError: the networks have no linear path.
    """
    forth, back = getattr(encoder, "linear", None), generator.linear
    if encoder is None or not isinstance(forth, LinearPath) or not isinstance(back, LinearPath):
        raise ConfigError("only networks with network.linear_path can start at a PCA; set it")
    sample = _mirrored(images(LARGEST_SAMPLE >> len(flips)), [FLIP_AXES[flip] for flip in flips])
    mean, components, deviations = _pca(sample.flatten(1), back.in_features)
    count, half = len(deviations), deviations.sqrt()
    with torch.no_grad():
        forth.weight.zero_()[:count] = components / half[:, None]
        forth.bias.copy_(-(forth.weight.cpu() @ mean))
        back.weight.zero_()[:, :count] = (components * half[:, None]).T
        back.bias.copy_(mean)
        _fade(generator, 0.1)
        _fade(encoder, 0.0)
    latent_deviations = torch.ones(back.in_features)
    latent_deviations[:count] = half
    return latent_deviations


def _mirrored(images: Tensor, flips: list[int]) -> Tensor:
    for axis in flips:
        images = torch.cat([images, images.flip(axis)])
    return images


def _pca(rows: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean (P,), components (K,P) and their deviations (K,), by the eigenvectors of the Gram matrix."""
    mean = rows.mean(0)
    centred = (rows - mean).double()
    variances, vectors = torch.linalg.eigh(centred @ centred.T / len(rows))
    variances, vectors = variances.flip(0)[:most], vectors.flip(1)[:, :most]
    deviations = variances.clamp(min=0).sqrt()
    kept = deviations > LEAST_DEVIATION * deviations[0].clamp(min=1e-12)
    deviations, vectors = deviations[kept], vectors[:, kept]
    components = vectors.T @ centred / (deviations[:, None] * len(rows) ** 0.5)
    return mean, components.float(), deviations.float()


def _fade(network: nn.Module, share: float) -> None:
    last = [layer for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d | nn.Linear)]
    layer = [layer for layer in last if not isinstance(layer, LinearPath)][-1]
    layer.weight.mul_(share)
    if layer.bias is not None:
        layer.bias.zero_()
