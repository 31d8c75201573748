"""Batches of feature maps: the backbone sees each copy of each training image once, and a file on disk keeps the maps.

The file has V copies of each of N images, (V,N,C,h,w) float16, and goes when the run is finished. A copy is the image
as it is, mirrored, or shifted and brightened as the recipe's `data` section says.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from ganspect.config import Recipe
from ganspect.errors import OutputError
from ganspect.progress import progress_bar
from ganspect.train.batches import Batches
from ganspect.train.checkpoint import load_weights, save_weights
from ganspect.train.drawing import DrawnMaps, Represent
from ganspect.train.representation import Representation

_IMAGES_AT_ONCE = 16
_WHITENED_ON = 512
"""Training images that the whitening is fitted on at most: each gives some hundred places."""

Maps = np.ndarray[Any, np.dtype[np.float16]]


class FeatureBatches:
    """Batches of feature maps, in place of `ganspect.train.batches.Batches`.

    Attributes:
        images: those that the maps are of.
        maps: (V,N,C,h,w) float16.
    """

    def __init__(self, images: Batches, maps: Maps, represent: Represent) -> None:
        """Take maps from `open_features`.

        Args:
            images: normal images; N is their `epoch_length`, and the order is theirs.
            maps: feature maps of all copies.
            represent: what made them.
        """
        self.images, self.maps, self.represent = images, maps, represent
        self._drawn: dict[tuple[int, int], DrawnMaps] = {}
        self.epoch_length = maps.shape[1]

    def take(self, stage: str, first: int, count: int, random: torch.Generator) -> Tensor:
        """Return (count,C,h,w) float32 maps, a copy of each image at random; see `Batches.take`."""
        index = self.images.order(stage, first, count)
        copies = torch.randint(0, len(self.maps), (count,), generator=random)
        return torch.from_numpy(self.maps[copies.numpy(), index.numpy()]).float()

    def views(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` maps, all copies of some images, unvaried ones first; see `Batches.views`."""
        images = min(self.epoch_length, max(1, most // len(self.maps)))
        index = self.images.order("plain", 0, images)
        maps = np.concatenate([copy[index.numpy()] for copy in self.maps])
        return torch.from_numpy(maps).float(), index.repeat(len(self.maps))

    def image_of(self, index: Tensor) -> Tensor:
        """Return which images some numbers below `epoch_length` show."""
        return self.images.image_of(index)

    def drawn(self, images: int, most: int) -> DrawnMaps:
        """Return maps of images with defects drawn on them, made once; see `Batches.drawn`."""
        asked = images, most
        if asked not in self._drawn:
            self._drawn = {asked: self.images.drawn(images, most, self.represent)}
        return self._drawn[asked]

    def pairs(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` maps, (M,C,h,w), and the images that they are of, (M,channels,H,W) in [-1, 1]."""
        index = self.images.order("plain", 0, min(most, self.epoch_length))
        return torch.from_numpy(self.maps[0, index.numpy()]).float(), self.images.copy(index, 0)


def prepare_representation(representation: Representation, images: Batches, recipe: Recipe, path: Path) -> None:
    """Give a representation its weights: those that a run began with, or the backbone's, whitened on training images.

    Args:
        representation: takes the weights.
        images: normal training images.
        recipe: a recipe with a `backbone`.
        path: the file that keeps them.

    Raises:
        ConfigError: the backbone's weights are missing or damaged.
        MissingDependencyError: the package that brings them is not installed.
        RunError: the run's own file is damaged.
        OutputError: the folder cannot be written.
    """
    if path.exists():
        load_weights(path, representation)
        return
    representation.backbone.load(None if recipe.backbone is None else recipe.backbone.weights)
    representation.whiten(*_moments(representation, images))
    save_weights(path, representation)


def open_features(representation: Representation, images: Batches, recipe: Recipe, path: Path) -> FeatureBatches:
    """Return the batches of a run, computing their maps where the file does not exist yet.

    Raises:
        OutputError: the file cannot be written.
    """
    if not path.exists():
        partial = path.with_name(f".{path.name}.partial")
        representation.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        _write(partial, representation, images, copies_of(recipe))
        partial.replace(path)
    return FeatureBatches(images, np.load(path, mmap_mode="r"), representation)


def copies_of(recipe: Recipe) -> int:
    """Return how many copies of each training image are kept."""
    data, settings = recipe.data, recipe.backbone
    if settings is not None and settings.copies is not None:
        return settings.copies
    mirrored = 1 << len(data.flips)
    return max(mirrored, 4) if data.shift_px or data.gain else mirrored


@torch.no_grad()
def _moments(representation: Representation, images: Batches) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of the raw channels over places of training images."""
    count = min(_WHITENED_ON, images.epoch_length)
    index = images.order("plain", 0, count)
    size = representation.raw_channels
    total, products, places = torch.zeros(size).double(), torch.zeros(size, size).double(), 0
    with progress_bar() as bar:
        task = bar.add_task("whitening", total=count, detail="")
        for part in torch.split(index, _IMAGES_AT_ONCE):
            rows = representation.raw(images.copy(part, 0)).transpose(0, 1).flatten(1).double()
            total, products, places = total + rows.sum(1), products + rows @ rows.T, places + rows.shape[1]
            bar.advance(task, len(part))
    mean = total / places
    return mean, products / places - mean[:, None] * mean[None]


@torch.no_grad()
def _write(path: Path, representation: Representation, images: Batches, copies: int) -> None:
    count = images.epoch_length
    shape = (copies, count, representation.channels, *representation.grid_hw)
    try:
        maps = open_memmap(path, "w+", np.float16, shape)
        with path.open("r+b") as file:  # a map of a file with holes would end the process when the disk is full
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; free some space, or choose another --out") from error
    with progress_bar() as bar:
        task = bar.add_task("features", total=copies * count, detail=f"{copies} of each image")
        for number in range(copies):
            for part in torch.split(torch.arange(count), _IMAGES_AT_ONCE):
                batch = images.copy(part, number).contiguous(memory_format=torch.channels_last)
                maps[number, part[0] : part[-1] + 1] = representation(batch).half().numpy()
                bar.advance(task, len(part))
    maps.flush()
