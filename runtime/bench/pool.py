"""The images that are timed, the same for every process: drawn or read once, handed over as files.

pool = draw_pool(bundle); pool.save(folder); again = Pool.load(folder)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ganspect.bundle import Bundle
from ganspect.datasets import Sample
from ganspect.errors import DataError
from ganspect.preprocess import Frame, to_tiles
from ganspect.progress import progress_bar
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.rows import Array

MOST_IMAGES = 64
"""Of each class: more would only make the files larger."""

COMPARED = 16
"""Tiles of each kind whose scores are compared with PyTorch's."""

_SEED = 4
_FILE = "pool.safetensors"


@dataclass(frozen=True)
class Images:
    """Frames, and the tiles that they become.

    Attributes:
        frames: as a camera gives them.
        tiles: (n,h,w,C) uint8 of all frames.
    """

    frames: tuple[Frame, ...]
    tiles: Array

    def batch(self, count: int, first: int = 0) -> Array:
        """Return (count,h,w,C) tiles from `first` on, over again from the beginning where there are fewer."""
        return self.tiles[np.arange(first, first + count) % len(self.tiles)]


@dataclass(frozen=True)
class Pool:
    """What is timed.

    Attributes:
        source: where the images come from, for the record.
        usual: normal images, or random ones.
        anomalous: None where there are no labelled ones.
    """

    source: str
    usual: Images
    anomalous: Images | None

    def compared(self) -> Array:
        """Return the tiles that all are asked to score alike, (n,h,w,C): a few of each kind."""
        kinds = [self.usual] if self.anomalous is None else [self.usual, self.anomalous]
        return np.concatenate([images.tiles[:COMPARED] for images in kinds])

    def save(self, folder: Path) -> None:
        """Write all images into a folder."""
        arrays = {f"usual_{index:04d}": frame for index, frame in enumerate(self.usual.frames)}
        if self.anomalous is not None:
            arrays |= {f"anomalous_{index:04d}": frame for index, frame in enumerate(self.anomalous.frames)}
        save_file({name: np.ascontiguousarray(frame) for name, frame in arrays.items()}, folder / _FILE)

    @classmethod
    def load(cls, folder: Path, bundle: Bundle) -> "Pool":
        """Read what `save` wrote."""
        arrays = load_file(folder / _FILE)
        usual, anomalous = (
            [arrays[name] for name in sorted(arrays) if name.startswith(kind)] for kind in ("usual", "anomalous")
        )
        return cls(str(folder), _images(bundle, usual), _images(bundle, anomalous) if anomalous else None)


def draw_pool(bundle: Bundle) -> Pool:
    """Return seeded random frames, twice as high and wide as the model's input: nothing clears, the worst case."""
    image, random = bundle.manifest.image, np.random.default_rng(_SEED)
    height, width = (2 * side for side in image.size_hw)
    shape = (height, width) if image.channels == 1 else (height, width, 3)
    dtype = np.uint8 if image.bits == 8 else np.uint16
    frames = [random.integers(0, 1 << image.bits, shape, dtype=dtype) for _ in range(8)]
    return Pool(f"8 random frames of {height}x{width} pixels, seed {_SEED}", _images(bundle, frames), None)


def read_pool(bundle: Bundle, data: str, data_path: Path | None) -> Pool:
    """Read test images that the bundle has not seen, at most `MOST_IMAGES` of each class.

    Raises:
        DataError: no such data, no test images that can be used, or no normal ones among them.
    """
    from ganspect.runtime.evaluation.labelled import open_test_data, read_labelled

    with progress_bar() as progress:
        labelled = read_labelled(bundle, open_test_data(bundle, data, data_path), progress)
    frames = [_chosen([sample for sample in labelled.samples if sample.label == label]) for label in (0, 1)]
    if not frames[0]:
        raise DataError(f"{data} has no normal test images, whose early exit could be timed; give data that has")
    counts = f"{len(frames[0])} normal and {len(frames[1])} anomalous test images"
    anomalous = _images(bundle, frames[1]) if frames[1] else None
    return Pool(f"{counts} of {data}", _images(bundle, frames[0]), anomalous)


def _chosen(samples: list[Sample]) -> list[Frame]:
    order = np.random.default_rng(_SEED).permutation(len(samples))[:MOST_IMAGES]
    return [samples[index].read() for index in order]


def _images(bundle: Bundle, frames: list[Frame]) -> Images:
    grid = tile_grid(bundle)
    return Images(tuple(frames), np.concatenate([to_tiles(frame, grid).images for frame in frames]))
