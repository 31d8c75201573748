"""Folders of images: the MVTec AD layout, or a flat folder of normal images.

FOLDER/train/good/*.png                        normal images to train on
FOLDER/test/good/*.png, test/DEFECT/*.png      labelled images to test on; may be absent
FOLDER/ground_truth/DEFECT/NAME_mask.png       where the defect is, non-zero; may be absent
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.datasets.images import image_paths, read_image
from ganspect.datasets.samples import Dataset, Sample
from ganspect.errors import DataError
from ganspect.preprocess import Frame

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def load_folder(name: str, folder: Path) -> Dataset:
    """List a folder; one with `train` or `test` in it has the MVTec layout, another holds normal images only.

    Raises:
        DataError: it has no images, or no normal ones to train on.
    """
    if (folder / "train").is_dir() or (folder / "test").is_dir():
        return _mvtec(name, folder)
    paths = image_paths(folder)
    if not paths:
        raise DataError(
            f"{folder} holds no images (PNG, JPEG, BMP, TIFF); give a folder of normal ones, or one with train/good"
        )
    return Dataset(name, tuple(_sample(folder, path, "good") for path in paths), ())


def _mvtec(name: str, folder: Path) -> Dataset:
    normal = image_paths(folder / "train" / "good")
    if not normal:
        raise DataError(f"{folder} has no normal images: its train/good is absent or empty; put them there")
    train = tuple(_sample(folder, path, "good") for path in normal)
    test_folder = folder / "test"
    kinds = sorted(path.name for path in test_folder.iterdir() if path.is_dir()) if test_folder.is_dir() else []
    test = tuple(
        _sample(folder, path, kind)
        for kind in kinds
        if not kind.startswith(".")
        for path in image_paths(test_folder / kind)
    )
    return Dataset(name, train, test)


def _sample(folder: Path, path: Path, kind: str) -> Sample:
    label = 0 if kind == "good" else 1
    read_mask = _mask_reader(folder / "ground_truth", path, kind)
    return Sample(path.relative_to(folder).as_posix(), label, kind, partial(read_image, path), read_mask)


def _mask_reader(masks: Path, path: Path, kind: str) -> Callable[[], Mask] | None:
    if kind == "good":
        return partial(_empty_mask, path) if masks.is_dir() else None
    mask = masks / kind / f"{path.stem}_mask.png"
    return partial(_read_mask, mask) if mask.is_file() else None


def _empty_mask(path: Path) -> Mask:
    return np.zeros(read_image(path).shape[:2], np.bool_)


def _read_mask(path: Path) -> Mask:
    mask: Frame = read_image(path)
    return np.asarray(mask.reshape((*mask.shape[:2], -1)).max(2) > 0)
