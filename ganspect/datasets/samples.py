"""One image of a data set, read when it is needed, and its fingerprint."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.errors import ImageError
from ganspect.preprocess import Frame


@dataclass(frozen=True)
class Sample:
    """An image that is read on demand.

    Attributes:
        name: unique in its data set, as reports show it: a path below the folder, or `test/17`.
        label: 0 normal, 1 anomalous.
        kind: `good`, or the defect's name.
        read: returns the frame as OpenCV gives it (grey (H,W) or BGR (H,W,3)); raises ImageError.
        read_mask: returns (H,W) bool, True where anomalous; None where the data set has no masks.
    """

    name: str
    label: int
    kind: str
    read: Callable[[], Frame]
    read_mask: Callable[[], np.ndarray[Any, np.dtype[np.bool_]]] | None = None


@dataclass(frozen=True)
class Dataset:
    """Normal images to train on and labelled ones to test on.

    Attributes:
        name: as given by the user.
        train: normal images only.
        test: normal and anomalous images; empty where the data set has none.
    """

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read: its name and the reason, one sentence."""

    name: str
    reason: str

    def __str__(self) -> str:
        """Return the reason, with the name in front unless it says it itself."""
        return self.reason if Path(self.name).name in self.reason else f"{self.name}: {self.reason}"


def read_samples(samples: Iterable[Sample]) -> tuple[list[tuple[Sample, Frame]], list[Skipped]]:
    """Read images, leaving out and naming those that cannot be read."""
    frames: list[tuple[Sample, Frame]] = []
    skipped: list[Skipped] = []
    for sample in samples:
        try:
            frames.append((sample, sample.read()))
        except ImageError as error:
            skipped.append(Skipped(sample.name, str(error)))
    return frames, skipped


def fingerprint(frame: Frame) -> str:
    """Return 16 hexadecimal digits that identify the pixels of a frame at its own size (SHA-256, shortened)."""
    header = f"{frame.shape}{frame.dtype}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(frame).tobytes()).hexdigest()[:16]
