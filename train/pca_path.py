"""The PCA that networks in feature space start from and keep: G(z) = W z + mean + convolutions, E its inverse + more.

Generator and encoder share one matrix, which no training changes: a map has 50,000 values, and a matrix for each of
them, trained, would be most of a bundle. Latents are whitened by half, as in `ganspect.train.linear_path`.
"""

import torch
from torch import Tensor, nn

from ganspect.pca import Pca


class PcaPath(nn.Module):
    """A PCA between latents (N,D) and rows of values (N,F).

    Attributes:
        basis: (F,D) float16, components as columns, each times the root of its deviation; zero beyond those there are.
        mean: (F,) float32.
        scale: (D,) float32, 1 / deviation.
    """

    basis: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, values: int, latent_size: int) -> None:
        """Build it with zeros.

        Args:
            values: F.
            latent_size: D, at least 1.
        """
        super().__init__()
        self.register_buffer("basis", torch.zeros(values, latent_size, dtype=torch.float16))
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("scale", torch.ones(latent_size))

    @torch.no_grad()
    def set(self, pca: Pca) -> Tensor:
        """Take a PCA with at most D components.

        Returns:
            (D,) deviation of each latent; 1 for latents beyond the PCA's components.
        """
        count = len(pca.deviations)
        half = torch.from_numpy(pca.deviations).sqrt()
        self.basis.zero_()[:, :count] = (torch.from_numpy(pca.components).T * half).half()
        self.mean.copy_(torch.from_numpy(pca.mean))
        self.scale.fill_(1)[:count] = 1 / torch.from_numpy(pca.deviations)
        deviations = torch.ones_like(self.scale)
        deviations[:count] = half
        return deviations

    def decode(self, latent: Tensor) -> Tensor:
        """Return (N,F) values of (N,D) latents, in float32 whatever the precision."""
        with torch.autocast(latent.device.type, enabled=False):
            return latent.float() @ self.basis.float().T + self.mean

    def encode(self, values: Tensor) -> Tensor:
        """Return (N,D) latents of (N,F) values, in float32 whatever the precision."""
        with torch.autocast(values.device.type, enabled=False):
            return ((values.float() - self.mean) @ self.basis.float()) * self.scale


class PcaDecoder(nn.Module):
    """A generator's share of a `PcaPath` that it does not own, so that the matrix is stored once."""

    def __init__(self, path: PcaPath) -> None:
        """Refer to the path."""
        super().__init__()
        self.of = (path,)  # in a tuple, PyTorch does not take it for a part of this module

    def forward(self, latent: Tensor) -> Tensor:
        """Turn (N,D) latents into (N,F) values."""
        return self.of[0].decode(latent)


class PcaEncoder(nn.Module):
    """An encoder's share of a `PcaPath`; see `PcaDecoder`."""

    def __init__(self, path: PcaPath) -> None:
        """Refer to the path."""
        super().__init__()
        self.of = (path,)

    def forward(self, values: Tensor) -> Tensor:
        """Turn (N,F) values into (N,D) latents."""
        return self.of[0].encode(values)
