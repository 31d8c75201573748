"""The PCA that networks in feature space start from and keep: G(z) = W z + mean + convolutions, E its inverse + more.

Generator and encoder share one matrix, which no training changes: a map has 50,000 values, and a matrix for each of
them, trained, would be most of a bundle. It is stored in 8 bits a value: rounding hardly moves a component, unless it
lies at few places. Latents are whitened by half, as in `ganspect.train.linear_path`. With a map of latents the PCA is
that of the blocks that its places stand for, the same at every place.
"""

import torch
from torch import Tensor, nn

from ganspect.pca import Pca
from ganspect.train.latents import LatentLayout

_ZERO, _LARGEST = 128, 127
"""The code of zero, and the largest distance from it; TensorRT would take signed codes for a quantized network."""


class PcaPath(nn.Module):
    """A PCA between latents (N,D) and x (N,C,h,w).

    Attributes:
        layout: assigns parts of a latent to blocks of x.
        codes: (F,d) uint8, components as columns, each times the root of its deviation and divided by its step; 128
            stands for zero, and columns beyond the PCA's components hold nothing else.
        step: (d,) float32, what one code is worth in each column.
        mean: (F,) float32.
        scale: (d,) float32, 1 / deviation.
    """

    codes: Tensor
    step: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, layout: LatentLayout) -> None:
        """Build it with zeros; F and d are those of the layout's blocks and places."""
        super().__init__()
        self.layout = layout
        shape = layout.block_values, layout.channels
        self.register_buffer("codes", torch.full(shape, _ZERO, dtype=torch.uint8))
        self.register_buffer("step", torch.ones(layout.channels))
        self.register_buffer("mean", torch.zeros(layout.block_values))
        self.register_buffer("scale", torch.ones(layout.channels))

    @torch.no_grad()
    def set(self, pca: Pca) -> Tensor:
        """Take a PCA of blocks with at most d components.

        Returns:
            (D,) deviation of each latent; 1 for latents beyond the PCA's components.
        """
        count = len(pca.deviations)
        half = torch.from_numpy(pca.deviations).sqrt()
        columns = torch.from_numpy(pca.components).T * half
        step = columns.abs().amax(0).clamp(min=1e-12) / _LARGEST
        self.step.fill_(1)[:count] = step
        self.codes.fill_(_ZERO)[:, :count] = (torch.round(columns / step) + _ZERO).to(torch.uint8)
        self.mean.copy_(torch.from_numpy(pca.mean))
        self.scale.fill_(1)[:count] = 1 / torch.from_numpy(pca.deviations)
        deviations = torch.ones_like(self.scale)
        deviations[:count] = half
        return deviations.repeat_interleave(self.layout.places)

    def decode(self, latent: Tensor) -> Tensor:
        """Return (N,C,h,w) of x of (N,D) latents, in float32 whatever the precision."""
        with torch.autocast(latent.device.type, enabled=False):
            latents = self.layout.at_places(latent.float()) * self.step
            return self.layout.of_blocks(latents @ self._centred().T + self.mean)

    def encode(self, x: Tensor) -> Tensor:
        """Return (N,D) latents of (N,C,h,w) of x, in float32 whatever the precision."""
        with torch.autocast(x.device.type, enabled=False):
            blocks = self.layout.blocks(x.float()) - self.mean
            return self.layout.of_places((blocks @ self._centred()) * (self.step * self.scale))

    def _centred(self) -> Tensor:
        """Return the codes with zero at zero, (F,d) float32; times the step they are the basis."""
        return self.codes.float() - _ZERO


class PcaDecoder(nn.Module):
    """A generator's share of a `PcaPath` that it does not own, so that the matrix is stored once."""

    def __init__(self, path: PcaPath) -> None:
        """Refer to the path."""
        super().__init__()
        self.of = (path,)  # in a tuple, PyTorch does not take it for a part of this module

    def forward(self, latent: Tensor) -> Tensor:
        """Turn (N,D) latents into (N,C,h,w) of x."""
        return self.of[0].decode(latent)


class PcaEncoder(nn.Module):
    """An encoder's share of a `PcaPath`; see `PcaDecoder`."""

    def __init__(self, path: PcaPath) -> None:
        """Refer to the path."""
        super().__init__()
        self.of = (path,)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N,C,h,w) of x into (N,D) latents."""
        return self.of[0].encode(x)
