"""Classification networks of torchvision (BSD-3-Clause), cut by its own feature extraction.

network = TorchvisionNetwork("resnet18")
backbone = CutNetwork(network, (1, 2, 3), 3)

Stages are found by what the network does: the modules that follow each other in it are tried on an image without
storage, and the last one of each resolution, before the pooling over the whole image, is a stage.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from ganspect.errors import ConfigError
from ganspect.sections import nearest
from ganspect.train.backbones.cut_network import Network, Stage, Triple

_SIZE_HW = (224, 192)
"""Of the image that stages are found by; its sides differ, to tell maps of (N,C,h,w) from others."""

_HALVED = 0.7
_ENDS = (nn.AdaptiveAvgPool2d, nn.Dropout, nn.Linear)
_HALF: Triple = (0.5, 0.5, 0.5)
_OF_HALVES: Mapping[str, Mapping[str, Any]] = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}
"""Networks whose published weights are TensorFlow's, for a mean and a deviation of 1/2, and how they are built."""


class TorchvisionNetwork(Network):
    """A classification network of torchvision."""

    def __init__(self, name: str) -> None:
        """Find its stages.

        Args:
            name: torchvision's, for instance `resnet18`.

        Raises:
            ConfigError: torchvision does not have the network, or it has no maps that it could be cut at.
        """
        if name not in (known := models.list_models(module=models)):
            raise ConfigError(f"torchvision has no classification network {name!r}; {nearest(name, known)}")
        self.name, self._name = f"torchvision:{name}", name
        self._example = self._whole().to("meta")  # not built there: some compute their sizes with tensors
        self._found = _stages(self._example)
        self.stages = [found.stage for found in self._found]
        if name in _OF_HALVES:
            self.mean = self.deviation = _HALF
        if not self.stages:
            raise ConfigError(
                f"{self.name} has no maps of its image that it could be cut at; choose a convolutional network, or one "
                "of timm: for backbone.name"
            )

    def cut(self, layers: Sequence[int], weights: Mapping[str, Tensor] | None) -> nn.Module:
        """Return the network as far as its last stage; see `Network.cut`."""
        whole = self._whole()
        if weights is not None:
            whole.load_state_dict(weights, strict=False)
        return self._extractor(whole, layers)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors of the whole network; see `Network.tensors`."""
        return self._example.state_dict()

    def head(self, layers: Sequence[int]) -> Sequence[str]:
        """Return the modules behind the last stage; see `Network.head`."""
        used = {name for name, _ in self._extractor(self._example, layers).named_children()}
        return [name for name, _ in self._example.named_children() if name not in used]

    def _whole(self) -> nn.Module:
        network: nn.Module = models.get_model(self._name, weights=None, **_OF_HALVES.get(self._name, {}))
        return network.eval()

    def _extractor(self, whole: nn.Module, layers: Sequence[int]) -> nn.Module:
        nodes = {self._found[layer].module: str(layer) for layer in layers}
        extractor = create_feature_extractor(whole, nodes, suppress_diff_warning=True).eval()
        return fx.GraphModule(extractor, extractor.graph)  # the graph for training left out


class _Found(NamedTuple):
    module: str
    stage: Stage


@torch.no_grad()
def _stages(network: nn.Module) -> list[_Found]:
    """Return the last module of each resolution, of a network without storage; none where it refuses the image."""
    maps: list[tuple[str, Tensor]] = []
    handles = [module.register_forward_hook(partial(_note_map, maps, name)) for name, module in _in_a_row(network)]
    try:
        network(torch.zeros(1, 3, *_SIZE_HW, device="meta"))
    except (RuntimeError, AssertionError):  # one that takes images of a single size
        return []
    finally:
        for handle in handles:
            handle.remove()
    ends = [one for one, following in pairwise(maps) if _height(following) < _HALVED * _height(one)] + maps[-1:]
    return [_Found(one[0], Stage(one[1].shape[1], round(_SIZE_HW[0] / _height(one)))) for one in ends]


def _in_a_row(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that follow each other, up to the pooling over the whole image."""
    row: list[tuple[str, nn.Module]] = []
    for name, module in network.named_children():
        if isinstance(module, _ENDS):
            break
        # torchvision's own kinds of a sequence may be one node in its graph of a network.
        opened = module.named_children() if type(module) is nn.Sequential else ()
        row += [(f"{name}.{inner}", child) for inner, child in opened] or [(name, module)]
    return row


def _note_map(maps: list[tuple[str, Tensor]], name: str, _: nn.Module, __: object, output: object) -> None:
    """Note an output that is (N,C,h,w), by the ratio of the sides, which pooling over the whole image does not keep."""
    if isinstance(output, Tensor) and output.ndim == 4 and output.shape[3] > 1:
        ratio = (output.shape[2] / output.shape[3]) / (_SIZE_HW[0] / _SIZE_HW[1])
        if 0.8 < ratio < 1.25:
            maps.append((name, output))


def _height(one: tuple[str, Tensor]) -> int:
    return one[1].shape[2]
