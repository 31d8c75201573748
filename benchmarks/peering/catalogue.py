"""What is compared: anomalib's models with their settings, and the data sets; needs no package.

PEERS["padim"].layers
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

THREADS = 2
"""Of every engine while latency is measured."""

BACKBONE = "tf_efficientnet_lite0"
"""timm's name of the network in front of ganspect's recipes in feature space."""


@dataclass(frozen=True)
class Peer:
    """One of anomalib's models.

    Attributes:
        name: the name in rows and for --only.
        title: the name in tables.
        layers: timm's names of the stages whose activations it takes; empty where it has no backbone.
        sampling: share of all patches that a memory bank keeps; None where there is none.
        size_hw: height and width of its images in pixels; None: the recipe's.
        steps: approximate number of training steps; None where nothing is learned by descent.
        about: what it was given where anomalib leaves it open, or where its default was not taken; whole sentences.
    """

    name: str
    title: str
    layers: tuple[str, ...] = ()
    sampling: float | None = None
    size_hw: tuple[int, int] | None = None
    steps: int | None = None
    about: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Return all but its titles, as JSON values: results with other settings are another model's."""
        size = None if self.size_hw is None else list(self.size_hw)
        return {"layers": list(self.layers), "sampling": self.sampling, "size_hw": size, "steps": self.steps}


PADIM_FEATURES = 100
"""Channels that PaDiM draws at random; anomalib has no default for this backbone, and this one for ResNet-18."""

_LAYERS = (
    "Its layers are those of anomalib's default by their strides, {strides} pixels, which in this backbone are "
    "ganspect's blocks {blocks}."
)

PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "padim",
            "PaDiM",
            layers=("blocks.1", "blocks.2", "blocks.4"),
            about=_LAYERS.format(strides="4, 8 and 16", blocks="2, 4 and 10")
            + f" {PADIM_FEATURES} of their 176 channels are drawn at random, as many as anomalib draws for ResNet-18.",
        ),
        Peer(
            "patchcore",
            "PatchCore",
            layers=("blocks.2", "blocks.4"),
            sampling=0.1,
            about=_LAYERS.format(strides="8 and 16", blocks="4 and 10")
            + " Its memory keeps a tenth of all patches, anomalib's default; they are selected by anomalib's own "
            "algorithm, worked off in blocks, since its own code reads all of them again for each that it selects.",
        ),
        Peer(
            "patchcore_1pct",
            "PatchCore, 1%",
            layers=("blocks.2", "blocks.4"),
            sampling=0.01,
            about="The same with a hundredth of all patches, the smallest memory in PatchCore's paper.",
        ),
        Peer(
            "ganomaly",
            "GANomaly",
            size_hw=(64, 64),
            steps=500,
            about="It has no backbone and no heat map. Its images are 64 pixels a side and not the recipe's, for want "
            "of time on a CPU; it is trained for about 500 steps of 32 images with anomalib's networks, losses and "
            "rates. anomalib itself names no number of steps, and Lightning's would be 1,000 rounds of all images.",
        ),
    )
}

OURS: Mapping[str, str] = {"linear": "ganspect, linear", "fanogan": "ganspect, f-AnoGAN"}
"""Systems of the recipes SYSTEM_features.yaml, with their titles in tables."""

DATA_SETS = ("aliens", "magtile", "elpv:mono", "elpv:poly")
"""Data sets of the suite `features` that are compared, the smallest first."""

REFERENCE = ("padim", "anomalib", "openvino", "fp32")
"""Name, runner, backend and precision of the row that every latency is divided by."""

SMOKE_SIZE_HW = (96, 96)
SMOKE_STEPS = 4


def settings() -> dict[str, Any]:
    """Return what all models were given, as peers.json keeps it."""
    peers = {name: peer.settings for name, peer in PEERS.items()}
    return {"threads": THREADS, "backbone": BACKBONE, "padim_features": PADIM_FEATURES, "peers": peers}
