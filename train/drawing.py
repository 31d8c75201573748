"""Defects drawn on training images, as the networks see them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ganspect.datasets.drawn import KINDS, Drawn, Kind, draw_defect
from ganspect.pca import Integers
from ganspect.scoring import to_unit_range

Represent: TypeAlias = Callable[[Tensor], Tensor]

_IMAGES_AT_ONCE = 16


class Plain(Protocol):
    """Images by their numbers."""

    def copy(self, index: Tensor, number: int) -> Tensor:
        """Return images as they are, (B,C,H,W) in [-1, 1]; see `ganspect.train.batches.Batches.copy`."""


class DrawnMaps(NamedTuple):
    """x of normal images with a defect drawn on each.

    Attributes:
        x: (m,C,h,w) float32.
        image: (m,) the image that each is of.
        kinds: (m,) what was drawn.
    """

    x: Tensor
    image: Integers
    kinds: list[Kind]


@torch.no_grad()
def draw_on(
    images: Plain, index: Tensor, represent: Represent, seed: int, kinds: Sequence[Kind] | None = None
) -> tuple[Tensor, list[Kind]]:
    """Return x of images with a defect drawn on each, (m,C,h,w), and what was drawn.

    Args:
        images: normal images.
        index: (m,) their numbers, as often as a defect is to be drawn on each.
        represent: turns images in [-1, 1] into x.
        seed: decides about the defects.
        kinds: (m,) what to draw; None: any kind, each as likely.
    """
    random = np.random.default_rng(seed)
    found, done = [], list[Kind]()
    for part in torch.split(index, _IMAGES_AT_ONCE):
        plain = ((images.copy(part, 0) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        drawn: list[Drawn] = []
        for image in plain:
            kind = None if kinds is None else kinds[len(done) + len(drawn)]
            drawn.append(draw_defect(image, random, kind=kind))
        done += [one.kind for one in drawn]
        pixels = torch.from_numpy(np.stack([one.image for one in drawn]))
        unit: Tensor = to_unit_range(pixels.permute(0, 3, 1, 2).float())
        found.append(represent(unit))
    return torch.cat(found), done


def kinds_in_turn(index: Tensor) -> list[Kind]:
    """Return a kind for each of some images, (m,): each image has all kinds before one of them comes again."""
    latest: dict[int, int] = {}
    for image in index.tolist():
        latest.setdefault(image, len(latest) - 1)
    kinds = []
    for image in index.tolist():
        latest[image] += 1
        kinds.append(KINDS[latest[image] % len(KINDS)])
    return kinds
