"""What a backbone is: layers that can be asked for, and weights that come from a file."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A frozen network, as far as its last layer that is asked for.

    Attributes:
        name: its name in recipes.
        layers: numbers of the layers whose activations `forward` returns, ascending.
        widths: channels of each of them.
    """

    name: str
    layers: tuple[int, ...]
    widths: tuple[int, ...]

    @abstractmethod
    def __init__(self, layers: tuple[int, ...], channels: Literal[1, 3]) -> None:
        """Build it with arbitrary weights.

        Args:
            layers: numbers of the layers that are asked for, in any order.
            channels: number of the images' channels; one for grey stands for three equal ones.

        Raises:
            ConfigError: it has no such layer.
        """
        super().__init__()

    @abstractmethod
    def load(self, weights: Path | None) -> None:
        """Take trained weights.

        Args:
            weights: file; None: where the backbone's package keeps them.

        Raises:
            ConfigError: the file is missing, damaged, or of another network.
            MissingDependencyError: the package is not installed.
        """

    @property
    def weights_sha256(self) -> str | None:
        """Return the SHA-256 of the file of its weights, in hexadecimal; None where it keeps none."""
        return None

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode: it is frozen, and a batch norm or a dropout would not be."""
        super().train(False)
        return self

    @abstractmethod
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the activations of `layers`, each (N,width,h,w), of (N,C,H,W) images in [-1, 1], grey or RGB."""
