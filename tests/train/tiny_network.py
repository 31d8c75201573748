"""A network of nobody's package, of two stages, and what other packages' networks are held against."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganspect.train.backbones.cut_network import CutNetwork, Network, Stage


class TinyNetwork(Network):
    """A stem and two blocks with batch norms, and a classifier."""

    name = "tiny:network"
    stages = (Stage(8, 2), Stage(12, 4))
    mean = (0.4, 0.5, 0.7)
    deviation = (0.2, 0.3, 0.25)

    def __init__(self, stem: type[nn.Module] | None = None) -> None:
        self.stem = stem

    def cut(self, layers: Sequence[int], weights: Mapping[str, Tensor] | None) -> nn.Module:
        """Return the blocks up to the last layer."""
        whole = self.whole()
        if weights is not None:
            whole.load_state_dict(weights, strict=False)
        return Cut(whole, layers)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors of all blocks and the classifier."""
        return self.whole().to("meta").state_dict()

    def head(self, layers: Sequence[int]) -> Sequence[str]:
        """Return the classifier and the blocks that are not needed."""
        return ["fc", *(["second"] if 1 not in layers else [])]

    def whole(self) -> nn.Module:
        """Return the whole network."""
        whole = nn.Module()
        first = nn.Conv2d(3, 8, 3, 2, 1, bias=False) if self.stem is None else self.stem()
        whole.first = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        whole.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU6(inplace=True))
        whole.fc = nn.Linear(12, 5)
        return whole


class Cut(nn.Module):
    """The blocks of a `TinyNetwork` as far as they are asked for."""

    def __init__(self, whole: nn.Module, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.first = whole.first
        if 1 in layers:
            self.second = whole.second

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return a map for each layer."""
        maps = [self.first(image)]
        if 1 in self.layers:
            maps.append(self.second(maps[0]))
        return [maps[layer] for layer in self.layers]


def as_if_trained(state: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Return weights that keep activations at one scale, with statistics of batch norms that are none of 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    trained = {}
    for key, tensor in state.items():
        values = torch.randn(tensor.shape, generator=random)
        if not tensor.is_floating_point():
            trained[key] = torch.ones(tensor.shape, dtype=tensor.dtype)
        elif tensor.ndim > 1:
            trained[key] = values / tensor[0].numel() ** 0.5
        elif key.endswith(("running_var", "weight")):
            trained[key] = 0.5 + values.abs()
        else:
            trained[key] = 0.3 * values
    return trained


def reference(network: Network, layers: Sequence[int], weights: Mapping[str, Tensor], image: Tensor) -> list[Tensor]:
    """Return the maps of grey or colour images by the network as its package has it, with nothing folded."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (network.mean, network.deviation))
    colours = ((image + 1) / 2).expand(-1, 3, -1, -1)
    cut = network.cut(layers, {key: tensor for key, tensor in weights.items() if key in network.tensors()}).eval()
    with torch.no_grad():
        maps: Any = cut((colours - mean) / deviation)
    return list(maps.values() if isinstance(maps, dict) else maps)


def saved(network: Network, path: Path) -> dict[str, Tensor]:
    """Write a whole network's weights as PyTorch does, and return them."""
    weights = as_if_trained(network.tensors())
    torch.save(weights, path)
    return weights


def images(channels: int, size_hw: tuple[int, int] = (64, 64)) -> Tensor:
    """Return two random images in [-1, 1]."""
    return torch.rand(2, channels, *size_hw, generator=torch.Generator().manual_seed(1)) * 2 - 1


def assert_is_the_packages(network: Network, layers: tuple[int, ...], channels: Any, folder: Path) -> CutNetwork:
    """Load saved weights into a backbone, and compare its maps with the network's own."""
    weights = saved(network, folder / "weights.pth")
    backbone = CutNetwork(network, layers, channels)
    backbone.load(folder / "weights.pth")
    image = images(channels)
    maps = backbone(image)
    expected = reference(network, backbone.layers, weights, image)
    assert [values.shape[1] for values in maps] == list(backbone.widths)
    for values, wanted in zip(maps, expected, strict=True):
        error = (values - wanted).norm() / wanted.norm()
        assert error < 1e-4, float(error)
    return backbone
