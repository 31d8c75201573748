"""anomalib's models for the comparison, trained, exported and judged in their environment.

model = TrainedPeer.of(PEERS["padim"], split, 2, work / "padim", environments.anomalib(), smoke=False)

What is made is kept in the model's folder, and not made again.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganspect.files import require_writable, write_json
from peering.catalogue import SMOKE_STEPS, Peer
from peering.environments import Environment
from peering.figures import Figures, figures_of
from peering.processes import MeasuringProcess
from peering.splits import Split

PATIENCE_S = 6 * 3600.0
"""Seconds after which a training or an export is ended."""


@dataclass(frozen=True)
class TrainedPeer:
    """One of anomalib's models, trained on a split; files that are there are not made again.

    Attributes:
        peer: what it is.
        folder: where its files are.
        environment: anomalib's.
    """

    peer: Peer
    folder: Path
    environment: Environment

    @classmethod
    def of(
        cls, peer: Peer, split: Split, seed: int, folder: Path, environment: Environment, *, smoke: bool
    ) -> "TrainedPeer":
        """Train it.

        Raises:
            StepError: the step failed.
        """
        request = {
            **{"peer": peer.name, "settings": peer.settings, "images": str(split.folder.absolute()), "seed": seed},
            "size_hw": list(split.grid.size_hw),
            "steps": SMOKE_STEPS if smoke else peer.steps,
            "out": str(folder.absolute()),
        }
        model, asked = cls(peer, folder.absolute(), environment), folder / "request.json"
        if _read_json(asked) != request:
            shutil.rmtree(folder, ignore_errors=True)
            require_writable(folder)
            write_json(asked, request)
        if not (folder / "training.json").exists():
            command = ["-m", "peering.train_anomalib", str(asked.absolute())]
            seconds = environment.run(command, log=model.folder / "train.txt", limit_s=PATIENCE_S)
            write_json(folder / "training.json", {"training_s": seconds})
        return model

    @property
    def torch_file(self) -> Path:
        """Return the file that its training left."""
        return self.folder / "weights/torch/model.pt"

    def export(self) -> Path:
        """Return its OpenVINO model.

        Raises:
            StepError: anomalib cannot export it.
        """
        path = self.folder / "weights/openvino/model.xml"
        if not (self.folder / "export.json").exists():
            size_hw = _read_json(self.folder / "request.json")["size_hw"]
            command = ["-m", "peering.export_anomalib", str(self.folder), *map(str, size_hw)]
            seconds = self.environment.run(command, log=self.folder / "export.txt", limit_s=PATIENCE_S)
            write_json(self.folder / "export.json", {"export_s": seconds})
        return path

    def seconds(self) -> dict[str, float | None]:
        """Return how long training and export took."""
        exported = _read_json(self.folder / "export.json") or {"export_s": None}
        return {**_read_json(self.folder / "training.json"), **exported}

    def trained(self) -> dict[str, Any]:
        """Return what its training told."""
        content: dict[str, Any] = _read_json(self.folder / "trained.json")
        return content

    def figures(self, split: Split, module: str, opened_with: Mapping[str, Any]) -> Figures:
        """Let it judge the test images, and return how well it does.

        Raises:
            StepError: it cannot judge them.
            DataError: a score is not a number.
        """
        path = self.folder / f"figures-{Path(opened_with['model']).suffix[1:]}-{opened_with['precision']}.json"
        known = _read_json(path)
        if known is not None:
            return Figures(**known)
        scores = path.with_suffix(".npz")
        with MeasuringProcess(self.environment, module, log=path.with_suffix(".txt")) as process:
            process.ask("open", **opened_with)
            process.ask("judge", images=str(split.folder / "test.npz"), out=str(scores))
        figures = figures_of(split, scores)
        scores.unlink()
        write_json(path, vars(figures))
        return figures


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
