"""Networks of timm as backbones, with random weights: the same as timm's own `features_only`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ganspect.errors import ConfigError
from ganspect.train.backbones.catalogue import find_backbone
from tests.train.tiny_network import assert_is_the_packages, images, saved

pytest.importorskip("timm")
import timm

from ganspect.train.backbones.timm_networks import TimmNetwork

STAGES = {
    "resnet18": [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)],
    "mobilenetv3_small_100": [(16, 2), (16, 4), (24, 8), (48, 16), (576, 32)],
    "tf_efficientnet_lite0": [(16, 2), (24, 4), (40, 8), (112, 16), (320, 32)],
    "efficientnet_b0": [(16, 2), (24, 4), (40, 8), (112, 16), (320, 32)],
    "convnext_atto": [(40, 4), (80, 8), (160, 16), (320, 32)],
    "nf_resnet26": [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)],
    "xception41": [(128, 2), (256, 4), (728, 8), (1024, 16), (2048, 32)],
}
AS_THREE_COLOURS = {"nf_resnet26", "xception41"}
"""Whose first convolution changes its weight, and whose code cannot be followed."""


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", STAGES)
def test_maps_are_timms_own(name: str, channels: Any, tmp_path: Path) -> None:
    network = TimmNetwork(name)
    assert network.stages == STAGES[name]
    backbone = assert_is_the_packages(network, (1, 2), channels, tmp_path)
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    assert (norms > 0) == (name == "xception41")
    assert backbone.takes_grey == (channels == 1 and name not in AS_THREE_COLOURS)


def test_weights_that_timm_loads_by_itself_give_the_same_maps(tmp_path: Path) -> None:
    """What `features_only` gives with a file of the whole network, read by timm."""
    saved(TimmNetwork("resnet18"), tmp_path / "weights.pth")
    overlay = {"file": str(tmp_path / "weights.pth")}
    own = timm.create_model("resnet18", features_only=True, pretrained=True, pretrained_cfg_overlay=overlay).eval()
    backbone: Any = find_backbone("timm:resnet18")((0, 1, 2, 3, 4), 3)
    backbone.load(tmp_path / "weights.pth")
    normalized = images(3) * backbone.scale[:, None, None] + backbone.shift[:, None, None]
    with torch.no_grad():
        for values, wanted in zip(backbone(images(3)), own(normalized), strict=True):
            assert (values - wanted).norm() / wanted.norm() < 1e-4


def test_maps_with_channels_last_are_turned() -> None:
    backbone: Any = find_backbone("timm:swin_tiny_patch4_window7_224")((0, 1), 1)
    maps = backbone(torch.zeros(1, 1, 224, 224))
    assert [tuple(values.shape) for values in maps] == [(1, 96, 56, 56), (1, 192, 28, 28)]


def test_the_part_behind_the_point_says_how_pixels_are_normalized() -> None:
    assert TimmNetwork("resnet18.tv_in1k").mean == (0.485, 0.456, 0.406)
    assert TimmNetwork("tf_efficientnet_lite0.in1k").mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet17", r"^timm has no network 'resnet17'; did you mean 'resnet1"),
        ("hf-hub:someone/resnet18", r"^timm has no network 'hf-hub:someone/resnet18'; did you mean"),
        ("", r"^timm has no network ''; it has \d+, see timm\.list_models"),
    ],
)
def test_a_network_that_cannot_be_had(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        find_backbone(f"timm:{name}")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    saved(TimmNetwork("resnet34"), tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"does not hold the weights of timm:resnet18: of \d+ tensors, 96 unknown to"):
        find_backbone("timm:resnet18")((1,), 1).load(tmp_path / "weights.pth")
