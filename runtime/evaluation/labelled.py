"""The labelled images of an evaluation: read once, without those that the bundle has seen before.

images = read_labelled(bundle, open_test_data(bundle, "elpv:mono", None), progress)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from ganspect.bundle import Bundle
from ganspect.datasets import Dataset, Sample, Skipped, fingerprint, open_dataset
from ganspect.errors import DataError, ImageError
from ganspect.preprocess import Frame, TileGrid, Tiles, convert, resize, to_tiles
from ganspect.runtime.evaluation.baselines import Pixels
from ganspect.runtime.evaluation.bootstrap import Labels
from ganspect.runtime.inspector import tile_grid

KNOWN_AT_MOST = 0.05
"""Share of the test images that the bundle may know. Plain parts look alike to the last bit now and then, and such
images are left out; where there are more, the test set is not one."""


@dataclass(frozen=True)
class LabelledImages:
    """Images that can be read and judged.

    Attributes:
        dataset: that they come from.
        grid: how a frame becomes the bundle's tiles.
        samples: the readable ones of its test part.
        labels: (n,) 0 normal, 1 anomalous.
        pixels: (n,h,w,C) uint8, each frame shrunk to the model's input size, for the baselines.
        skipped: test images that could not be read or that the bundle knows, and why.
    """

    dataset: Dataset
    grid: TileGrid
    samples: tuple[Sample, ...]
    labels: Labels
    pixels: Pixels
    skipped: tuple[Skipped, ...]

    def tiles(self, index: int) -> Tiles:
        """Read an image again and cut it as the bundle deploys it."""
        return to_tiles(self.samples[index].read(), self.grid)


def open_test_data(bundle: Bundle, data: str, data_path: Path | None) -> Dataset:
    """List the images; a named data set is split by the seed that the bundle was trained with.

    Raises:
        DataError: there is no such data set, or it has no test images.
    """
    dataset = open_dataset(data, split_seed=bundle.manifest.training.split_seed, path=data_path)
    if not dataset.test:
        raise DataError(
            f"{data} has no labelled images to test on; give a folder with test/good and test/DEFECT in it, "
            "an .npz file with x_test and y_test, or elpv"
        )
    return dataset


def read_labelled(bundle: Bundle, dataset: Dataset, progress: Progress) -> LabelledImages:
    """Read the test part; images that equal one that the bundle was trained or calibrated on are left out.

    Raises:
        DataError: no image of it can be read, more than `KNOWN_AT_MOST` of them are known to the bundle, or a mask is
            not as large as its image.
    """
    grid = tile_grid(bundle)
    seen = _Seen(bundle)
    task = progress.add_task("read", total=len(dataset.test), detail="")
    usable: list[tuple[Sample, Pixels]] = []
    skipped: list[Skipped] = []
    for sample in dataset.test:
        try:
            frame = sample.read()
            pixels = shrink(frame, grid)
            if seen.knows(frame):
                skipped.append(Skipped(sample.name, "the bundle was trained or calibrated on an image equal to it"))
                seen.names.append(sample.name)
            else:
                _require_fitting_mask(sample, frame)
                usable.append((sample, pixels))
        except ImageError as error:
            skipped.append(Skipped(sample.name, str(error)))
        progress.advance(task)
    seen.refuse_many(dataset)
    if not usable:
        raise DataError(f"none of the {len(skipped)} test images of {dataset.name} can be used: {skipped[0].reason}")
    return LabelledImages(
        dataset,
        grid,
        tuple(sample for sample, _ in usable),
        np.array([sample.label for sample, _ in usable], np.int64),
        np.stack([pixels for _, pixels in usable]),
        tuple(skipped),
    )


def read_pixels(samples: Iterable[Sample], grid: TileGrid) -> Pixels | None:
    """Return (n,h,w,C) uint8 of those samples that can be read, None if none can."""
    pixels = []
    for sample in samples:
        try:
            pixels.append(shrink(sample.read(), grid))
        except ImageError:
            continue
    return np.stack(pixels) if pixels else None


def shrink(frame: Frame, grid: TileGrid) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a whole frame at the model's input size, (h,w,C) uint8, also where the bundle cuts tiles."""
    return resize(convert(frame, grid), grid.size_hw)


def _require_fitting_mask(sample: Sample, frame: Frame) -> None:
    """Refuse a mask of another size before anything is computed."""
    if sample.label == 0 or sample.read_mask is None:
        return
    try:
        mask_hw, frame_hw = sample.read_mask().shape, frame.shape[:2]
    except ImageError as error:
        raise DataError(f"the mask of {sample.name} cannot be read: {error}; write it again, or delete it") from error
    if mask_hw != frame_hw:
        raise DataError(
            f"the mask of {sample.name} is (height, width) {mask_hw} and the image {frame_hw}; make the masks in "
            "ground_truth as large as the images"
        )


class _Seen:
    """Test images whose fingerprint the bundle knows, by `names`."""

    def __init__(self, bundle: Bundle) -> None:
        training = bundle.manifest.training
        calibrated = bundle.calibration.fingerprints if bundle.calibration else []
        self._folder = bundle.folder
        self._known = {*training.fingerprints, *training.held_out, *calibrated}
        self.names: list[str] = []

    def knows(self, frame: Frame) -> bool:
        return fingerprint(frame) in self._known

    def refuse_many(self, dataset: Dataset) -> None:
        if len(self.names) > KNOWN_AT_MOST * len(dataset.test):
            raise DataError(
                f"{self._folder} was trained or calibrated on {len(self.names)} of the {len(dataset.test)} test images "
                f"of {dataset.name}, the first is {self.names[0]}; take them out of the test set, for a figure on "
                "known images says nothing"
            )
