"""Averaged weights: a network that follows another by an exponential moving average.

Averages give steadier images than the last weights of a GAN (Yazıcı et al. 2019); the bundle gets the average.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from ganspect.train.pca_path import PcaDecoder, PcaEncoder

Network = TypeVar("Network", bound=nn.Module)


def trainable_copy(network: Network) -> Network:
    """Return a copy in training mode, for an optimizer; the network itself then follows as its average.

    A fixed PCA, which no training changes, is not copied.
    """
    fixed = {id(share.of): share.of for share in network.modules() if isinstance(share, PcaDecoder | PcaEncoder)}
    return copy.deepcopy(network, dict(fixed)).requires_grad_(True).train()


class Average(nn.Module):
    """Moves networks towards others after each step; itself holds only how often it did.

    Attributes:
        updates: scalar int64, updates so far; a buffer, so that checkpoints keep it.
    """

    updates: Tensor

    def __init__(self, decay: float, pairs: list[tuple[nn.Module, nn.Module]]) -> None:
        """Freeze the averages, and start them as copies.

        Args:
            decay: share of the average that stays at each update, in [0, 1); less in the first updates, so that
                the initial weights are soon forgotten. 0 copies.
            pairs: (average, trained network) of the same architecture.
        """
        super().__init__()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.decay = decay
        self.pairs = pairs
        for average, _ in pairs:
            average.requires_grad_(False).eval()

    @torch.no_grad()
    def update(self) -> None:
        """Take the trained networks into the averages; batch-norm statistics are averaged alike."""
        self.updates += 1
        count = int(self.updates)
        share = 1.0 - min(self.decay, count / (count + 10)) if self.decay else 1.0
        for average, trained in self.pairs:
            for old, new in zip(_tensors(average), _tensors(trained), strict=True):
                if old.is_floating_point() and share < 1.0:
                    old.lerp_(new, share)
                else:
                    old.copy_(new)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
