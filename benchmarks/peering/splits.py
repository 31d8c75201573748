"""The images of a run as files that another environment reads: ganspect's own split, at the size of a model's images.

    split = export_split("elpv:mono", seed=6, grid=TileGrid((224, 224), 1), folder=work / "images-224x224")

FOLDER/train/good/00000.png     every normal training image, those too that ganspect's recipes hold out; RGB
FOLDER/test.npz                 `images` (n,h,w,C) uint8 of the test part
FOLDER/frames.npz               some normal test images as the camera took them, to measure latency with
FOLDER/split.json               what it was made from, and names and labels of the test images

Test images that equal a training image are left out, as `ganspect evaluate` does. Masks stay with ganspect.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.datasets import Sample, fingerprint, open_dataset, read_samples
from ganspect.errors import DataError
from ganspect.files import new_folder
from ganspect.opencv import cv2
from ganspect.preprocess import Frame, TileGrid, to_tiles
from ganspect.runtime.evaluation.bootstrap import Labels

_FRAMES = 16
_INDEX = "split.json"


@dataclass(frozen=True)
class Split:
    """An exported split.

    Attributes:
        folder: where its files are.
        grid: how frames became images.
        n_train: normal images to train on.
        samples: the test part in the order of test.npz; they read frames and masks.
    """

    folder: Path
    grid: TileGrid
    n_train: int
    samples: tuple[Sample, ...]

    @property
    def labels(self) -> Labels:
        """Return (n,) 0 normal, 1 anomalous."""
        return np.array([sample.label for sample in self.samples], np.int64)


def export_split(source: str, *, seed: int, grid: TileGrid, folder: Path) -> Split:
    """Export a split, or open the one that is there already.

    Args:
        source: the data set as commands take it.
        seed: seed of the split, where the data set has none of its own.
        grid: size and channels of images.
        folder: where its files go; replaced where it holds another split.

    Raises:
        DataError: the data set is unknown, lacks test images of a class, or has none that can be read.
    """
    dataset = open_dataset(source, split_seed=seed)
    made_from = {"source": source, "seed": seed, "size_hw": list(grid.size_hw), "channels": grid.channels}
    by_name = {sample.name: sample for sample in dataset.test}
    index = _read_index(folder / _INDEX)
    if index is None or index["made_from"] != made_from or not set(index["names"]) <= set(by_name):
        index = _write(dataset.train, dataset.test, made_from, grid, folder)
    return Split(folder, grid, index["n_train"], tuple(by_name[name] for name in index["names"]))


def _write(
    train: Sequence[Sample], test: Sequence[Sample], made_from: dict[str, Any], grid: TileGrid, folder: Path
) -> dict[str, Any]:
    normal, _ = read_samples(train)
    known = {fingerprint(frame) for _, frame in normal}
    judged = [(sample, frame) for sample, frame in read_samples(test)[0] if fingerprint(frame) not in known]
    if {sample.label for sample, _ in judged} != {0, 1} or not normal:
        raise DataError(
            f"{made_from['source']} needs normal images to train on and images of both classes to test on that can be "
            "read; give a folder with train/good, test/good and test/DEFECT in it"
        )
    index = {"made_from": made_from, "n_train": len(normal), "names": [sample.name for sample, _ in judged]}
    with new_folder(folder, what=_INDEX) as place:
        images = place / "train/good"
        images.mkdir(parents=True)
        for number, (_, frame) in enumerate(normal):
            cv2.imwrite(str(images / f"{number:05}.png"), _bgr(_image(frame, grid)))
        np.savez(place / "test.npz", images=np.stack([_image(frame, grid) for _, frame in judged]))
        frames = [frame for sample, frame in judged if sample.label == 0]
        chosen = frames[:: max(1, len(frames) // _FRAMES)][:_FRAMES]
        np.savez(place / "frames.npz", **{f"frame{at:02}": frame for at, frame in enumerate(chosen)})  # type: ignore[arg-type]
        (place / _INDEX).write_text(json.dumps(index), encoding="utf-8")
    return index


def _image(frame: Frame, grid: TileGrid) -> Frame:
    """Return a frame as the model sees it, (h,w,C) uint8."""
    image: Frame = to_tiles(frame, grid).images[0]
    return image


def _bgr(image: Frame) -> Frame:
    return np.ascontiguousarray(np.repeat(image, 3, 2) if image.shape[2] == 1 else image[..., ::-1])


def _read_index(path: Path) -> dict[str, Any] | None:
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index
