"""Pictures of parts, and a camera's software that drops them into a folder as they are made.

with PartFeeder(folder, frames, files_per_s=4) as feeder: ...
print(feeder.offered)
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ganspect.opencv import cv2

Picture: TypeAlias = NDArray[np.uint8]


def normal_part(random: np.random.Generator, size_hw: tuple[int, int] = (40, 48)) -> Picture:
    """Return a grey (H,W) uint8 picture of soft stripes and a little noise."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    # Stripes in proportion to the picture, so that one bundle knows them at any size.
    across, down = columns * 48 / size_hw[1], rows * 40 / size_hw[0]
    stripes: NDArray[np.float64] = 128 + 60 * np.sin(across / 5 + random.uniform(0, 0.5)) * np.cos(down / 9)
    noisy: NDArray[np.float64] = np.clip(stripes + random.normal(0, 4, size_hw), 0, 255)
    return noisy.astype(np.uint8)


def scratched_part(random: np.random.Generator, size_hw: tuple[int, int] = (40, 48)) -> Picture:
    """Return one with a bright line across."""
    picture = normal_part(random, size_hw)
    height, width = size_hw
    start = (int(random.integers(width // 3)), int(random.integers(height // 3)))
    cv2.line(picture, start, (start[0] + width // 2, start[1] + height // 2), 255, max(3, height // 13))
    return picture


class PartFeeder:
    """Writes files under a hidden name and renames them when they are complete.

    Attributes:
        offered: names of the files so far.
    """

    def __init__(self, folder: Path, pictures: Sequence[Picture], *, files_per_s: float) -> None:
        """Begin."""
        self.offered: list[str] = []
        self._folder = folder
        self._contents = [bytes(cv2.imencode(".png", picture)[1]) for picture in pictures]
        self._interval_s = 1 / files_per_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop."""
        self._ending.set()
        self._thread.join(5)

    def __enter__(self) -> "PartFeeder":
        """Return the feeder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _run(self) -> None:
        while not self._ending.wait(self._interval_s):
            name = f"part_{len(self.offered):07d}.png"
            hidden = self._folder / f".{name}.part"
            hidden.write_bytes(self._contents[len(self.offered) % len(self._contents)])
            hidden.replace(self._folder / name)
            self.offered.append(name)
