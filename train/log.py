"""log.csv: a line every so many steps with the stage's losses, checks and speed; opens in any spreadsheet.

The file is written whole each time, so that a kill leaves no half line and a new stage may bring new columns.
"""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ganspect.files import write_atomically

FIRST_COLUMNS = ("stage", "step", "images_per_s")


class TrainingLog:
    """The lines written so far, and the losses since the last of them."""

    def __init__(self, path: Path) -> None:
        """Read the lines of an interrupted run, if there are any."""
        self.path = path
        self.lines: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.lines = list(csv.DictReader(file))
        self._restart()

    def cut_back(self, stages_done: list[str], stage: str, step: int) -> None:
        """Drop lines behind a checkpoint: of later stages, and of this one after `step`."""
        self.lines = [
            line
            for line in self.lines
            if line["stage"] in stages_done or (line["stage"] == stage and int(line["step"]) <= step)
        ]

    def add(self, losses: dict[str, Tensor], images: int) -> None:
        """Take the losses of one step, scalars, and how many images it saw."""
        for name, loss in losses.items():
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
        self._steps += 1
        self._images += images

    def write(self, stage: str, step: int, checks: Mapping[str, float]) -> dict[str, float]:
        """Add a line with the means since the last one and what a check found now, and write the file.

        Returns:
            The losses, the checks and `images_per_s` of that line.

        Raises:
            OutputError: the file cannot be written.
        """
        speed = self._images / max(time.perf_counter() - self._since, 1e-9)
        means = {name: float(loss) / self._steps for name, loss in self._sums.items()}
        figures = {**means, **checks}
        texts = {name: f"{figure:.6g}" for name, figure in figures.items()}
        self.lines.append({"stage": stage, "step": str(step), "images_per_s": f"{speed:.1f}", **texts})
        self._restart()
        write_atomically(self.path, self._content().encode())
        return {**figures, "images_per_s": speed}

    def columns(self, names: Sequence[str]) -> dict[str, list[dict[str, float]]]:
        """Return some columns of the lines that have any of them, oldest first, by the stage's name."""
        found: dict[str, list[dict[str, float]]] = {}
        for line in self.lines:
            figures = {name: float(line[name]) for name in names if line.get(name)}
            if figures:
                found.setdefault(line["stage"], []).append(figures)
        return found

    def _restart(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._images, self._since = 0, 0, time.perf_counter()

    def _content(self) -> str:
        names = dict.fromkeys([*FIRST_COLUMNS, *(name for line in self.lines for name in line)])
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.lines)
        return text.getvalue()
