"""The linear path of generator and encoder, and its start at the PCA of the training images.

Aligned parts look alike pixel by pixel, and there a PCA reconstructs well. A generator W z + b + convolutions(z) that
starts as that PCA has its fidelity from the first step on; what the GAN then learns comes on top.

Latents are whitened by half: component j of deviation s has the latent v.x / sqrt(s), of deviation sqrt(s). Adam moves
every latent by the same length; on whitened latents the strong components would overshoot in the search while the weak
ones creep.
"""

import torch
from torch import Tensor, nn

from ganspect.errors import ConfigError
from ganspect.pca import Gram

LARGEST_SAMPLE = 2048
"""Images, mirrored ones included, that the PCA is taken from at most: its cost grows with their number's cube."""


class LinearPath(nn.Linear):
    """A linear layer that stays in float32 under autocast: bf16 would round its pixels by a grey level."""

    def forward(self, values: Tensor) -> Tensor:
        """Turn (N,in) values into (N,out) float32."""
        if not torch.is_autocast_enabled(values.device.type):
            return super().forward(values)
        with torch.autocast(values.device.type, enabled=False):
            return super().forward(values.float())


def start_at_pca(generator: nn.Module, encoder: nn.Module | None, images: Tensor) -> Tensor:
    """Set the linear paths to a PCA, and let the convolutions beside them start near zero.

    Args:
        generator: a network with `linear`, and `layers` ending in a transposed convolution.
        encoder: a network with `linear`, and `layers` ending in a linear layer.
        images: (N,C,H,W) training images, mirrored ones among them.

    Returns:
        (D,) deviation of each latent; 1 for latents beyond the PCA's components.

    Raises:
        ConfigError: the networks have no linear path.
    """
    forth, back = getattr(encoder, "linear", None), generator.linear
    if encoder is None or not isinstance(forth, LinearPath) or not isinstance(back, LinearPath):
        raise ConfigError("only networks with network.linear_path can start at a PCA; set it")
    pca = Gram(images.flatten(1).numpy()).pca(back.in_features)
    mean, components, deviations = (torch.from_numpy(part) for part in (pca.mean, pca.components, pca.deviations))
    count, half = len(deviations), deviations.sqrt()
    with torch.no_grad():
        forth.weight.zero_()[:count] = components / half[:, None]
        forth.bias.copy_(-(forth.weight.cpu() @ mean))
        back.weight.zero_()[:, :count] = (components * half[:, None]).T
        back.bias.copy_(mean)
    let_convolutions_start_near_zero(generator, encoder)
    latent_deviations = torch.ones(back.in_features)
    latent_deviations[:count] = half
    return latent_deviations


@torch.no_grad()
def let_convolutions_start_near_zero(generator: nn.Module, encoder: nn.Module | None) -> None:
    """Shrink the last layers beside the linear paths, so that these alone decide at first.

    Args:
        generator: a network with layers ending in a transposed convolution.
        encoder: a network with layers ending in a linear layer; None where there is none.
    """
    _fade(generator, 0.1)
    if encoder is not None:
        _fade(encoder, 0.0)


def _fade(network: nn.Module, share: float) -> None:
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    layer = [layer for layer in last if not isinstance(layer, LinearPath)][-1]
    layer.weight.mul_(share)
    if layer.bias is not None:
        layer.bias.zero_()
