"""Data sets in one `.npz` file: any with `x_normal_train`, `x_test` and `y_test`, and MNIST's kind.

    np.savez("parts.npz", x_normal_train=normal, x_test=images, y_test=labels, mask_test=masks)

Where the test set has several kinds of defect, `type_test` has each image's index into `type_names`.
Images are (N,H,W) grey or (N,H,W,3) RGB, uint8 or uint16; samples give them in OpenCV's order, BGR.
Pickled arrays are never loaded.
"""

import os
import zipfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.datasets.samples import Dataset, Sample
from ganspect.errors import DataError
from ganspect.preprocess import Frame

Array = np.ndarray[Any, np.dtype[Any]]

_OWN_KEYS = ("x_normal_train", "x_test", "y_test")
_OPTIONAL_KEYS = ("mask_test", "type_test", "type_names")
_MNIST_KEYS = ("x_train", "y_train", "x_test", "y_test")
MNIST_VARIABLES: Mapping[str, str] = {"mnist": "GANSPECT_MNIST", "fashion-mnist": "GANSPECT_FASHION_MNIST"}


def load_npz(name: str, path: Path) -> Dataset:
    """Read a file with `x_normal_train`, `x_test`, `y_test` (0 normal, else anomalous), perhaps masks and kinds.

    Raises:
        DataError: the file is damaged, lacks a key, or an array has another type, shape or length.
    """
    arrays = _load(path, _OWN_KEYS)
    train = _images(path, arrays, "x_normal_train")
    test = _images(path, arrays, "x_test")
    labels = _labels(path, arrays, "y_test", len(test))
    masks = _masks(path, arrays, test) if "mask_test" in arrays else None
    kinds = _kinds(path, arrays, labels) if {"type_test", "type_names"} <= set(arrays) else None
    if not len(train):
        raise DataError(f"{path} has no normal images: 'x_normal_train' is empty; put them there")
    return Dataset(name, _normal("train", train, range(len(train))), _test(test, labels != 0, masks, kinds))


def load_mnist(name: str, which: str, text: str, path: Path | None) -> Dataset:
    """Read MNIST or Fashion-MNIST with one class as the normal one, or all but one; the test set is whole.

    Args:
        name: as the user wrote it.
        which: `mnist` or `fashion-mnist`.
        text: the normal class, 0 to 9; or `not-3`: all classes but 3 are normal, as in EGBAD and GANomaly.
        path: the file; None: the environment variable in `MNIST_VARIABLES` names it.

    Raises:
        DataError: no such class, no file named, or a file with other arrays.
    """
    digit = text.removeprefix("not-")
    if digit not in tuple("0123456789"):
        raise DataError(f"{name!r} names no class from 0 to 9; write for example {which}:3, or {which}:not-3")
    path = _mnist_path(which, path)
    arrays = _load(path, _MNIST_KEYS)
    train, test = _images(path, arrays, "x_train"), _images(path, arrays, "x_test")
    anomalous_class = digit != text
    normal = np.flatnonzero((_labels(path, arrays, "y_train", len(train)) == int(digit)) != anomalous_class)
    labels = _labels(path, arrays, "y_test", len(test))
    anomalous = (labels == int(digit)) == anomalous_class
    kinds = [str(label) if wrong else "good" for label, wrong in zip(labels, anomalous, strict=True)]
    return Dataset(name, _normal("train", train, normal.tolist()), _test(test, anomalous, None, kinds))


def _mnist_path(which: str, path: Path | None) -> Path:
    variable = MNIST_VARIABLES[which]
    given = path or Path(os.environ.get(variable, ""))
    if not given.is_file():
        said = f"{given} is not there" if given != Path() else "no file was given"
        raise DataError(
            f"{which} needs an .npz file with x_train, y_train, x_test and y_test, and {said}; "
            f"give it with --set data.path=FILE (evaluate: --data-path FILE) or in {variable}"
        )
    return given


def _load(path: Path, keys: tuple[str, ...]) -> dict[str, Array]:
    try:
        # numpy leaves a file open that it opened itself and found damaged
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file.files]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)} (it has: {', '.join(file.files)}); expected {keys}")
            wanted = (key for key in file.files if key in (*keys, *_OPTIONAL_KEYS))
            return {key: np.asarray(file[key]) for key in wanted}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no readable .npz file of plain arrays; write it with numpy.savez") from error


def _images(path: Path, arrays: Mapping[str, Array], key: str) -> Array:
    images = arrays[key]
    if images.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: {key!r} holds {images.dtype}, images of uint8 or uint16 were expected; convert them")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3) or 0 in images.shape[1:]:
        raise DataError(f"{path}: {key!r} has shape {images.shape}, expected (N, H, W) or (N, H, W, 3); reshape it")
    return images


def _labels(path: Path, arrays: Mapping[str, Array], key: str, count: int) -> Array:
    labels = arrays[key]
    if labels.shape != (count,) or labels.dtype.kind not in "biu":
        raise DataError(
            f"{path}: {key!r} is {labels.dtype} of shape {labels.shape}, expected {count} integers, one for each "
            "image; write it again"
        )
    return labels


def _masks(path: Path, arrays: Mapping[str, Array], test: Array) -> Array:
    masks = arrays["mask_test"]
    if masks.shape != test.shape[:3] or masks.dtype.kind not in "biu":
        raise DataError(
            f"{path}: 'mask_test' is {masks.dtype} of shape {masks.shape}, expected integers of shape "
            f"{test.shape[:3]}, non-zero where anomalous; write it again"
        )
    return np.asarray(masks != 0)


def _kinds(path: Path, arrays: Mapping[str, Array], labels: Array) -> list[str]:
    """Return the kind of each test image, `good` where it is normal."""
    names = arrays["type_names"]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise DataError(
            f"{path}: 'type_names' is {names.dtype} of shape {names.shape}, expected one row of texts; write it again"
        )
    types = _labels(path, arrays, "type_test", len(labels))
    if len(types) and not 0 <= types.min() <= types.max() < len(names):
        raise DataError(
            f"{path}: 'type_test' has values from {types.min()} to {types.max()}, but 'type_names' has {len(names)} "
            "names; count from 0 and name every type"
        )
    return [str(names[kind]) if label else "good" for kind, label in zip(types, labels, strict=True)]


def _normal(part: str, images: Array, indices: Iterable[int]) -> tuple[Sample, ...]:
    return tuple(Sample(f"{part}/{index}", 0, "good", partial(_frame, images, index)) for index in indices)


def _test(images: Array, anomalous: Array, masks: Array | None, kinds: list[str] | None = None) -> tuple[Sample, ...]:
    kinds = kinds or ["anomalous" if label else "good" for label in anomalous]
    return tuple(
        Sample(
            f"test/{index}",
            int(anomalous[index]),
            kinds[index],
            partial(_frame, images, index),
            None if masks is None else partial(masks.__getitem__, index),
        )
        for index in range(len(images))
    )


def _frame(images: Array, index: int) -> Frame:
    image = images[index]
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
