"""Which data set a source names: a known one, a folder, or an `.npz` file.

dataset = open_dataset("elpv:mono")
"""

import os
from pathlib import Path

from ganspect.datasets.arrays import load_mnist, load_npz
from ganspect.datasets.folders import load_folder
from ganspect.datasets.samples import Dataset
from ganspect.errors import DataError, MissingDependencyError
from ganspect.sections import nearest

NAMES = ("elpv", "mnist", "fashion-mnist")
"""Data sets known by name, before the colon."""


def open_dataset(source: str, *, split_seed: int = 0, path: Path | None = None) -> Dataset:
    """List the images of a data set; they are read one by one when asked for.

    Args:
        source: `elpv`, `elpv:mono`, `elpv:poly`, `mnist:DIGIT`, `mnist:not-DIGIT` (that one is
            anomalous), `fashion-mnist:CLASS`, a folder (MVTec layout, or flat with normal images), or an `.npz` file.
        split_seed: of the train/test split, where the data set has none of its own (ELPV).
        path: file of a data set that no package brings (MNIST, Fashion-MNIST).

    Raises:
        DataError: nothing of that name, or it holds no normal images.
        MissingDependencyError: the package that brings the data set is not installed.
    """
    name, colon, argument = source.partition(":")
    if name == "elpv":
        return _open_elpv(source, argument if colon else None, split_seed)
    if name in NAMES:
        return load_mnist(source, name, argument, path)
    place = Path(source).expanduser()
    if os.path.isdir(place):
        return load_folder(source, place)
    if os.path.isfile(place) and place.suffix == ".npz":
        return load_npz(source, place)
    raise _unknown(source, place)


def absolute_source(source: str) -> str:
    """Return a source that means the same from any working folder."""
    if source.partition(":")[0] in NAMES:
        return source
    return str(Path(source).expanduser().absolute())


def _open_elpv(source: str, kind: str | None, split_seed: int) -> Dataset:
    try:
        from ganspect.datasets.elpv import load_elpv
    except ImportError as error:
        raise MissingDependencyError(
            "the data set elpv needs the package elpv-dataset; run: pip install 'ganspect[demo]'"
        ) from error
    return load_elpv(source, kind, split_seed)


def _unknown(source: str, place: Path) -> DataError:
    if os.path.isfile(place):
        return DataError(f"{source} is a file, but no .npz; give a folder of images or an .npz file")
    if os.sep in source or place.suffix == ".npz":
        return DataError(f"{source} does not exist; give a folder of images, an .npz file, or {', '.join(NAMES)}")
    hint = nearest(source.partition(":")[0], list(NAMES))
    return DataError(f"there is no data set and no folder called {source!r}; {hint}")
