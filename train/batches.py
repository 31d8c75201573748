"""Batches of training images: order, patches, flips, shifts and gain, each drawn from a step's own generator.

In each epoch every image comes once (K times where K patches are cut from it), in an order of its own; a batch
may reach over epochs, so a data set may be smaller than a batch.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganspect.config import DataSettings
from ganspect.datasets.drawn import KINDS
from ganspect.scoring import to_unit_range
from ganspect.train.drawing import DrawnMaps, Represent, draw_on, kinds_in_turn
from ganspect.train.seeds import random_for

FLIP_AXES = {"vertical": 2, "horizontal": 3}
"""Axes of (N,C,H,W) images along which a recipe's flips mirror."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def mirrorings(flips: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every combination of mirror directions, none of them first."""
    return [chosen for count in range(len(flips) + 1) for chosen in combinations(flips, count)]


def _as_it_is(image: Tensor) -> Tensor:
    return image


class Batches:
    """Normal images in memory, and the batches cut from them."""

    def __init__(self, images: Sequence[Pixels], size_hw: tuple[int, int], settings: DataSettings, seed: int) -> None:
        """Take the images.

        Args:
            images: (H,W,C) uint8 each, grey or RGB, at least `size_hw`.
            size_hw: height and width of what is cut from them.
            settings: patches, flips and shift.
            seed: decides about the order.
        """
        self.images = [torch.from_numpy(image) for image in images]
        self.sizes = torch.tensor([image.shape[:2] for image in images])
        self.size_hw, self.settings, self.seed = size_hw, settings, seed
        self.epoch_length = len(images) * (settings.patches_per_image or 1)

    def take(self, stage: str, first: int, count: int, random: torch.Generator) -> Tensor:
        """Return (count,C,H,W) float32 images in [-1, 1].

        Args:
            stage: its name; each has its own order.
            first: images taken before in this stage.
            count: number of images.
            random: draws patches, flips, shifts and gain.
        """
        images = self._cut(self.order(stage, first, count) % len(self.images), self.settings, random)
        if self.settings.gain:
            change = 2 * torch.rand((count, 1, 1, 1), generator=random) - 1
            images = (images * (1 + self.settings.gain * change)).clamp(max=255)
        unit: Tensor = to_unit_range(images)
        return unit

    def plain(self, count: int) -> Tensor:
        """Return at most `count` training images as they are, (N,C,H,W) float32 in [-1, 1]; of patches, some."""
        return self.copy(self.order("plain", 0, min(count, self.epoch_length)), 0)

    def views(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` training images, each with those mirrored as the recipe's flips say, unvaried else.

        Returns:
            (M,C,H,W) float32 images in [-1, 1], and their numbers, (M,) int64 below `epoch_length`; see `image_of`.
        """
        images = self.plain(max(1, most >> len(self.settings.flips)))
        index = self.order("plain", 0, len(images))
        for flip in self.settings.flips:
            images, index = torch.cat([images, images.flip(FLIP_AXES[flip])]), index.repeat(2)
        return images, index

    def image_of(self, index: Tensor) -> Tensor:
        """Return which images some numbers below `epoch_length` show: several patches are of one image."""
        return index % len(self.images)

    def pairs(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` training images twice: as x, and as the images that x is of."""
        images = self.plain(most)
        return images, images

    def drawn(self, images: int, most: int, represent: Represent = _as_it_is) -> DrawnMaps:
        """Return x with defects drawn on them, all kinds in turn.

        Args:
            images: number of images that are drawn on: the first ones of `views`.
            most: number of defects at most, twice each kind on an image.
            represent: turns images in [-1, 1] into x.
        """
        index = self.to_draw_on(images, most)
        x, kinds = draw_on(self, index, represent, self.seed, kinds_in_turn(index))
        return DrawnMaps(x, self.image_of(index).numpy(), kinds)

    def to_draw_on(self, images: int, most: int) -> Tensor:
        """Return the numbers of images that defects are drawn on, each as often as another, or once more."""
        images = min(images, self.epoch_length)
        count = min(most, 2 * len(KINDS) * images)
        return self.order("plain", 0, min(count, images)).repeat(-(-count // images))[:count]

    def copy(self, index: Tensor, number: int) -> Tensor:
        """Return one of the copies of some images, always the same.

        Args:
            index: (B,) below `epoch_length`, from `order`.
            number: number of the copy: 0 is the image as it is; the others are mirrored in each combination of the
                recipe's flips in turn, and shifted and brightened at random where the recipe says so.

        Returns:
            (B,C,H,W) float32 images in [-1, 1].
        """
        settings, images = self.settings, []
        mirrored = mirrorings(settings.flips)
        varied = settings if number else DataSettings()
        cut = settings.model_copy(update={"flips": (), "shift_px": varied.shift_px})
        for one in index.tolist():
            random = random_for(self.seed, "copy", one, number)
            image = self._cut(torch.tensor([one % len(self.images)]), cut, random)
            if varied.gain:
                image = (image * (1 + varied.gain * (2 * torch.rand((), generator=random) - 1))).clamp(max=255)
            images.append(image.flip([FLIP_AXES[flip] for flip in mirrored[number % len(mirrored)]]))
        unit: Tensor = to_unit_range(torch.cat(images))
        return unit

    def order(self, stage: str, first: int, count: int) -> Tensor:
        """Return which images come at some places of a stage's order, (count,) int64 below `epoch_length`.

        Args:
            stage: its name; each has its own order.
            first: images taken before in this stage.
            count: number of images.
        """
        length = self.epoch_length
        epochs = range(first // length, (first + count - 1) // length + 1)
        order = [torch.randperm(length, generator=random_for(self.seed, stage, "epoch", epoch)) for epoch in epochs]
        start = first % length
        return torch.cat(order)[start : start + count]

    def _cut(self, index: Tensor, settings: DataSettings, random: torch.Generator) -> Tensor:
        rows, columns = (self._places(index, axis, settings, random) for axis in (0, 1))
        images = [self.images[i][y[:, None], x] for i, y, x in zip(index.tolist(), rows, columns, strict=True)]
        return torch.stack(images).permute(0, 3, 1, 2).float()

    def _places(self, index: Tensor, axis: int, settings: DataSettings, random: torch.Generator) -> Tensor:
        """Return (B,side) the rows or columns of each image that are taken; those beyond its edge repeat the edge."""
        side, extent = self.size_hw[axis], self.sizes[index, axis]
        count = len(index)
        places = torch.arange(side).repeat(count, 1)
        if settings.patches_per_image:
            places += (torch.rand(count, generator=random) * (extent - side + 1)).long()[:, None]
        if settings.shift_px:
            reach = settings.shift_px
            places += torch.randint(-reach, reach + 1, (count, 1), generator=random)
        places = places.clamp(min=0).minimum(extent[:, None] - 1)
        if ("vertical", "horizontal")[axis] in settings.flips:
            flipped = torch.rand((count, 1), generator=random) < 0.5
            places = torch.where(flipped, places.flip(1), places)
        return places
