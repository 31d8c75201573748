"""A network of another package as a backbone: cut at its stages, with the weights of a file.

A stage is the last map of one resolution, before the network halves it. Pixels are normalized as the network was
trained, its batch norms are folded into its convolutions, and a grey image takes a shorter way through the first one
(`ganspect.train.backbones.folding`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganspect.errors import ConfigError
from ganspect.train.backbones.backbone import Backbone
from ganspect.train.backbones.folding import fold_batch_norms, follow, let_stem_take_grey
from ganspect.train.backbones.weight_file import read_weight_file

Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Triple = (0.229, 0.224, 0.225)


class Stage(NamedTuple):
    """A map that a network can be asked for: its channels, and pixels of the image for each of its places."""

    width: int
    stride: int


class Network(ABC):
    """A network of another package, by its name; builds itself as often as it is asked.

    Attributes:
        name: its name in recipes, with the package.
        stages: what it can be cut at, by ascending stride.
        mean: mean of its training images for each colour, of pixels in [0, 1].
        deviation: their deviation for each colour.
        plain: types of its convolutions that use their weight as it is.
        leaves: its modules that cannot be followed (`ganspect.train.backbones.folding.follow`).
        functions: its functions that cannot be followed.
    """

    name: str
    stages: Sequence[Stage]
    mean: Triple = IMAGENET_MEAN
    deviation: Triple = IMAGENET_DEVIATION
    plain: Sequence[type[nn.Module]] = (nn.Conv2d,)
    leaves: Sequence[type[nn.Module]] = ()
    functions: Sequence[Callable[..., Any]] = ()

    @abstractmethod
    def cut(self, layers: Sequence[int], weights: Mapping[str, Tensor] | None) -> nn.Module:
        """Return a network of normalized (N,3,H,W) colours that gives the maps of some stages, as a list or by name.

        Args:
            layers: numbers of the stages, ascending.
            weights: those of `tensors` without the head; None: arbitrary ones.
        """

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors of the whole network by the names that files have, perhaps without storage."""

    @abstractmethod
    def head(self, layers: Sequence[int]) -> Sequence[str]:
        """Return the modules in `tensors` that `cut` needs no weights of."""


class CutNetwork(Backbone):
    """A network of another package as far as the last stage that is asked for; a layer is a stage, numbered from 0."""

    def __init__(self, network: Network, layers: tuple[int, ...], channels: Literal[1, 3]) -> None:
        """Build it with arbitrary weights.

        Args:
            network: what is cut.
            layers: numbers of its layers; see `Backbone`.
            channels: 1 grey, 3 RGB; see `Backbone`.

        Raises:
            ConfigError: it has no such stage.
        """
        super().__init__(layers, channels)
        count = len(network.stages)
        if wrong := [layer for layer in layers if not 0 <= layer < count]:
            strides = ", ".join(str(stage.stride) for stage in network.stages)
            raise ConfigError(
                f"backbone.layers names {wrong[0]}, but {network.name} has the stages 0 to {count - 1} (of stride "
                f"{strides}); choose among them"
            )
        self.name = network.name
        self.layers = tuple(sorted(set(layers)))
        self.widths = tuple(network.stages[layer].width for layer in self.layers)
        self._source, self._colours = network, channels
        mean, deviation = torch.tensor(network.mean), torch.tensor(network.deviation)
        # (v / 2 + 1 / 2 - mean) / deviation of v in [-1, 1]
        self.register_buffer("scale", 0.5 / deviation, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / deviation, persistent=False)
        self.register_buffer("weights_digest", torch.zeros(32, dtype=torch.uint8))
        self.takes_grey, self.network = self._prepared(None)

    scale: Tensor
    shift: Tensor
    weights_digest: Tensor

    def load(self, weights: Path | None) -> None:
        """Take the weights of a file; see `Backbone.load`."""
        if weights is None:
            raise ConfigError(
                f"{self.name} comes without weights, and nothing is downloaded; give backbone.weights the file of its "
                "state_dict, in safetensors or as PyTorch saves it"
            )
        file = read_weight_file(weights)
        tensors = file.fitting(self.name, self._source.tensors(), self._source.head(self.layers))
        self.network.load_state_dict(self._prepared(tensors)[1].state_dict())
        self.weights_digest.copy_(torch.tensor(list(bytes.fromhex(file.sha256)), dtype=torch.uint8))

    @property
    def weights_sha256(self) -> str | None:
        """Return the SHA-256 of the file that `load` read, or that the weights of a run came from."""
        return bytes(self.weights_digest.tolist()).hex() if self.weights_digest.any() else None

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the activations of `layers`; see `Backbone.forward`."""
        if self.takes_grey:
            maps = self.network(functional.pad(image, (0, 0, 0, 0, 0, 1), value=1.0))  # a channel of ones
        else:
            maps = self.network(image * self.scale[:, None, None] + self.shift[:, None, None])
        return tuple(maps.values() if isinstance(maps, dict) else maps)

    def _prepared(self, weights: Mapping[str, Tensor] | None) -> tuple[bool, nn.Module]:
        """Return the cut network, made simpler where that is exact, and whether it takes grey and ones."""
        source = self._source
        network = source.cut(self.layers, weights).eval().requires_grad_(False)
        for module in network.modules():
            if "inplace" in vars(module):
                vars(module)["inplace"] = False  # it could change a map that is returned
        graph = follow(network, len(self.layers), source.leaves, source.functions)
        if graph is None:
            return False, network
        fold_batch_norms(graph, source.plain)
        grey = self._colours == 1 and let_stem_take_grey(graph, source.plain, self.scale, self.shift)
        return grey, graph.eval().requires_grad_(False)
