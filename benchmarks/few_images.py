"""A data set with few normal pictures, as a stranger has them: a folder in the MVTec layout, for suites with `images`.

write_few(open_dataset("elpv:poly", split_seed=2), Path("few"), images=60, seed=2)
"""

from pathlib import Path

import numpy as np

from ganspect.datasets import Dataset, Sample
from ganspect.errors import OutputError
from ganspect.files import new_folder
from ganspect.opencv import cv2
from ganspect.preprocess import Frame

MARKER = "train"


def write_few(dataset: Dataset, out: Path, images: int, seed: int) -> None:
    """Write some of the normal training images, drawn by a seed, and all test images with their masks.

    Args:
        dataset: the whole data set.
        out: the folder; one that is there already is whole, and is left as it is.
        images: number of normal images to train on; all of them where there are fewer.
        seed: decides which.
    """
    if out.exists():
        return
    drawn = np.random.default_rng(seed).permutation(len(dataset.train))[:images]
    with new_folder(out, what=MARKER) as folder:
        for number in sorted(drawn.tolist()):
            _write(dataset.train[number].read(), folder / "train/good" / f"{number:05}.png")
        for number, sample in enumerate(dataset.test):
            _write(sample.read(), folder / "test" / sample.kind / f"{number:05}.png")
            _write_mask(sample, folder / "ground_truth" / sample.kind / f"{number:05}_mask.png")


def _write(pixels: Frame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels):
        raise OutputError(f"cannot write {path}; free some space, or choose another --work")


def _write_mask(sample: Sample, path: Path) -> None:
    if sample.label == 1 and sample.read_mask is not None:
        _write(sample.read_mask().astype(np.uint8) * 255, path)
