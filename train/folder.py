"""The run folder: what lies in it, and whether a training may start, goes on, or is done.

run/
  config.yaml              the recipe as resolved
  run.json                 what it is trained on, device, precision, versions, images left out, its health
  checkpoint.safetensors   where an interrupted run goes on; removed at the end
  log.csv, samples/        losses, checks and speed; grids of generated images
  representation.safetensors, features.npy    in feature space: the backbone, and maps that are removed at the end
  weights.safetensors      written last: the run is finished
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ganspect import __version__
from ganspect.config import Recipe, to_yaml
from ganspect.datasets import Skipped
from ganspect.errors import OutputError, RunError
from ganspect.files import require_writable, write_atomically, write_json
from ganspect.records import ChoiceRecord, Health, TrainingRecord
from ganspect.sections import read_yaml
from ganspect.train.compute import Compute, DeviceChoice, Precision


class RunRecord(BaseModel):
    """`run.json`.

    Attributes:
        training: images trained on and held out, and the steps of each stage.
        device: `cpu` or `cuda`; an interrupted run goes on there.
        precision: the precision that was measured or asked for; an interrupted run goes on in it.
        versions: versions of ganspect and PyTorch.
        skipped: names and reasons of images left out.
        health: health of the stages at the end; empty while the run is unfinished.
        choice: what drawn defects decided; None where the recipe leaves nothing open.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingRecord
    device: DeviceChoice
    precision: Precision
    versions: dict[str, str]
    skipped: list[dict[str, str]]
    health: Health = Health()
    choice: ChoiceRecord | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run folder by its path."""

    path: Path

    @property
    def config(self) -> Path:
        """Return the resolved recipe's file."""
        return self.path / "config.yaml"

    @property
    def record(self) -> Path:
        """Return the record's file, `run.json`."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """Return the checkpoint's file."""
        return self.path / "checkpoint.safetensors"

    @property
    def log(self) -> Path:
        """Return the log's file."""
        return self.path / "log.csv"

    @property
    def weights(self) -> Path:
        """Return the file of the final weights."""
        return self.path / "weights.safetensors"

    @property
    def representation(self) -> Path:
        """Return the file of the backbone's weights and the whitening, in feature space."""
        return self.path / "representation.safetensors"

    @property
    def features(self) -> Path:
        """Return the file of the training images' feature maps."""
        return self.path / "features.npy"

    @property
    def finished(self) -> bool:
        """Return whether the run has its final weights."""
        return self.weights.exists()

    def sample(self, stage: str, step: int) -> Path:
        """Return the file of a grid, in a folder that exists."""
        folder = self.path / "samples"
        folder.mkdir(exist_ok=True)
        return folder / f"{stage}_{step:06d}.png"

    def claim(self, recipe: Recipe) -> None:
        """Make the folder this recipe's, or find that it is.

        Raises:
            OutputError: it cannot be written, or holds something else.
            RunError: it holds a run of another recipe.
        """
        if self.config.exists() and not (self.record.exists() or self.finished):
            # It was claimed by a run that failed before it began.
            for path in (self.config, self.representation, self.features):
                path.unlink(missing_ok=True)
        if self.config.exists():
            self._require_same(recipe)
        elif self.path.exists():
            self._require_empty()
        require_writable(self.path)
        for leftover in self.path.glob(".*.partial*"):
            leftover.unlink(missing_ok=True)
        if self.finished:
            self.features.unlink(missing_ok=True)  # a run that was killed as it ended leaves them
        if not self.config.exists():
            write_atomically(self.config, to_yaml(recipe).encode())

    def read_record(self) -> RunRecord | None:
        """Return the record of a run that was begun, or None.

        Raises:
            RunError: the file is damaged.
        """
        if not self.record.exists():
            return None
        try:
            return RunRecord.model_validate_json(self.record.read_bytes())
        except ValidationError as error:
            raise RunError(f"{self.record} is damaged; delete {self.path} and train again") from error

    def write_record(
        self, training: TrainingRecord, compute: Compute, skipped: list[Skipped], choice: ChoiceRecord | None
    ) -> None:
        """Write `run.json` of a run that begins."""
        content = {
            "training": training.model_dump(mode="json"),
            "device": compute.device.type,
            "precision": compute.precision,
            "versions": {"ganspect": __version__, "torch": torch.__version__},
            "skipped": [asdict(image) for image in skipped],
            "health": Health().model_dump(),
            "choice": None if choice is None else choice.model_dump(mode="json"),
        }
        write_json(self.record, content)

    def write_health(self, health: Health) -> None:
        """Write into `run.json` how the training ended.

        Raises:
            RunError: the file is damaged or gone.
        """
        record = self.read_record()
        if record is None:
            raise RunError(f"{self.record} is gone; delete {self.path} and train again")
        write_json(self.record, record.model_copy(update={"health": health}).model_dump(mode="json"))

    def _require_same(self, recipe: Recipe) -> None:
        before = read_yaml(self.config, [])
        with contextlib.suppress(ValidationError):  # what a setting of an older version leaves out is as by default
            before = type(recipe).model_validate(before).model_dump(mode="json")
        differing = _differing(before, json.loads(recipe.model_dump_json()))
        if differing:
            raise RunError(
                f"{self.path} holds a run with other settings ({', '.join(differing)}); "
                "choose another --out, or use the same settings to go on with it"
            )

    def _require_empty(self) -> None:
        if not self.path.is_dir():
            raise OutputError(f"{self.path} is a file, a folder was expected; choose another --out")
        # Hidden partial files are what a run leaves that was killed in its first moment.
        if any(not path.match(".*.partial*") for path in self.path.iterdir()):
            raise OutputError(f"{self.path} holds other files and no run; choose an empty or new folder for --out")


def _differing(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*new, *old])
        return [part for name in names for part in _differing(old.get(name), new.get(name), f"{key}.{name}".strip("."))]
    return [] if old == new else [f"{key}: {old!r} there, {new!r} now"]
