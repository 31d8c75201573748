"""Networks of torchvision as backbones, with random weights: cut at their stages, and the same as torchvision's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ganspect.errors import ConfigError
from ganspect.train.backbones.catalogue import find_backbone
from tests.train.tiny_network import assert_is_the_packages, saved

pytest.importorskip("torchvision")
from ganspect.train.backbones.torchvision_networks import TorchvisionNetwork

STAGES = {
    "resnet18": [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)],
    "resnet50": [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)],
    "wide_resnet50_2": [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)],
    "mobilenet_v3_small": [(16, 2), (16, 4), (24, 8), (48, 16), (576, 32)],
    "mobilenet_v3_large": [(16, 2), (24, 4), (40, 8), (112, 16), (960, 32)],
    "efficientnet_b0": [(16, 2), (24, 4), (40, 8), (112, 16), (1280, 32)],
    "convnext_tiny": [(96, 4), (192, 8), (384, 16), (768, 32)],
    "regnet_y_400mf": [(32, 2), (48, 4), (104, 8), (208, 16), (440, 32)],
    "densenet121": [(64, 2), (256, 4), (512, 8), (1024, 16), (1024, 32)],
    "googlenet": [(64, 2), (192, 4), (480, 8), (832, 16), (1024, 32)],
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_the_last_maps_of_each_resolution(name: str) -> None:
    network = TorchvisionNetwork(name)
    assert network.stages == STAGES[name]
    backbone: Any = find_backbone(f"torchvision:{name}")((0, 2), 3)
    assert backbone.name == f"torchvision:{name}"
    for values, layer in zip(backbone(torch.zeros(1, 3, 96, 64)), (0, 2), strict=True):
        width, stride = network.stages[layer]
        assert values.shape == (1, width, 96 // stride, 64 // stride)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", STAGES)
def test_maps_are_torchvisions_own(name: str, channels: Any, tmp_path: Path) -> None:
    backbone = assert_is_the_packages(TorchvisionNetwork(name), (1, 2, 3), channels, tmp_path)
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    assert (norms > 0) == (name == "densenet121")  # half of whose batch norms stand before their convolutions
    assert backbone.takes_grey == (channels == 1)


def test_what_lies_behind_the_last_stage_is_not_kept() -> None:
    network = TorchvisionNetwork("resnet18")
    assert network.head((0, 1)) == ["layer2", "layer3", "layer4", "avgpool", "fc"]
    backbone: Any = find_backbone("torchvision:resnet18")((1,), 3)
    assert sum(values.numel() for values in backbone.parameters()) < 160_000


def test_googlenet_is_normalized_as_its_published_weights_were_trained() -> None:
    assert TorchvisionNetwork("googlenet").mean == TorchvisionNetwork("googlenet").deviation == (0.5, 0.5, 0.5)
    assert TorchvisionNetwork("resnet18").mean == (0.485, 0.456, 0.406)


def test_a_deeper_network_of_the_same_kind_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    saved(TorchvisionNetwork("resnet34"), path)
    expected = r"does not hold the weights of torchvision:resnet18: of \d+ tensors, 96 unknown to it \(layer1\.2\.conv1"
    with pytest.raises(ConfigError, match=expected):
        find_backbone("torchvision:resnet18")((1, 2, 3, 4), 1).load(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet17", r"^torchvision has no classification network 'resnet17'; did you mean 'resnet1"),
        ("fcn_resnet50", r"^torchvision has no classification network 'fcn_resnet50'; did you"),
        ("", r"^torchvision has no classification network ''; expected one of alexnet, "),
        ("vit_b_16", r"^torchvision:vit_b_16 has no maps of its image that it could be cut at; choose a convolutional"),
    ],
)
def test_a_network_that_cannot_be_had(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        find_backbone(f"torchvision:{name}")
