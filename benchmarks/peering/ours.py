"""ganspect's own bundles for the comparison: those that are given, else trained by the commands that a user types.

    own = Own(work, data, bundles).make(run)

What is made is kept in the work folder, and not made again.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detection import Bench, CommandError
from suites import Run

from ganspect.bundle import open_bundle
from ganspect.errors import ConfigError
from ganspect.progress import progress_bar
from peering.environments import Environment, last_line

_REPORT = "metrics.json"
_GANSPECT = ("-c", "from ganspect.cli import main; main()")


@dataclass(frozen=True)
class OwnBundle:
    """A bundle and what `ganspect evaluate` says of it.

    Attributes:
        folder: the bundle's folder.
        source: data set, as commands take it.
        metrics: content of metrics.json, fp32 on ONNX Runtime.
        training_s: seconds that `ganspect train` took; None where it was trained elsewhere.
        export_s: seconds that `ganspect export` took, with proof and calibration; None where it was exported elsewhere.
    """

    folder: Path
    source: str
    metrics: dict[str, Any]
    training_s: float | None
    export_s: float | None

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all its files, but for engines that this machine compiled."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files if "engines" not in path.relative_to(self.folder).parts)

    def bf16_metrics(self, environment: Environment) -> dict[str, Any]:
        """Return metrics.json in bfloat16 on OpenVINO, as deployed: verified first, so that float32 helps out.

        Args:
            environment: the runtime's environment, in which it is verified.

        Raises:
            GanspectError: it does not give the same verdicts, or cannot be evaluated.
        """
        report = self.folder.with_name("report-bf16")
        if not (report / _REPORT).exists():
            options = ["--backend", "openvino", "--precision", "bf16"]
            log = self.folder.with_name("verify-bf16.txt")
            environment.run([*_GANSPECT, "verify", str(self.folder), *options], log=log)
            log = self.folder.with_name("evaluate-bf16.txt")
            command(["evaluate", str(self.folder), self.source, "--out", str(report), *options], log)
        return _read(report)


class Own:
    """Makes bundles."""

    def __init__(self, work: Path, data: Path | None, bundles: Path | None) -> None:
        """Take where things are.

        Args:
            work: folder for weights, bundles and reports.
            data: folder of data files.
            bundles: folder with DATASET/SYSTEM, a bundle each; None: all are trained.
        """
        self._work, self._data, self._bundles = work, data, bundles

    def make(self, run: Run) -> OwnBundle:
        """Return the bundle of a run; one that is given counts where it was trained on the run's split.

        Raises:
            GanspectError: a command failed, or a bundle that is given is damaged.
        """
        given = self._given(run)
        if given is not None:
            return self._evaluated(run, given)
        bench = Bench("own", self._work, self._work / "made", self._data, keep=True)
        folder = self._work / "made/own" / run.name
        with progress_bar() as progress:
            bench.run(run, progress, progress.add_task(run.name, total=3, detail=""))
        if not (folder / "bundle").is_dir():
            raise ConfigError(f"the bundle of {run.name} is gone; delete {self._work}, and it is trained again")
        return OwnBundle(
            folder / "bundle",
            run.source(self._data),
            _read(folder / "report"),
            *(float((folder / f"{name}.seconds").read_text(encoding="utf-8")) for name in ("train", "export")),
        )

    def _given(self, run: Run) -> Path | None:
        """Return the folder of a bundle for a run."""
        if self._bundles is None:
            return None
        folder = self._bundles / slug(run.data) / run.case.recipe.stem.removesuffix("_features")
        if not folder.is_dir():
            return None
        trained = open_bundle(folder).manifest.training
        return folder if trained.split_seed == run.seed else None

    def _evaluated(self, run: Run, given: Path) -> OwnBundle:
        """Copy a bundle, since it will be verified, and evaluate the copy."""
        folder = self._work / "given" / run.name
        source, report = run.source(self._data), folder / "report"
        if not (report / _REPORT).exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(given, folder / "bundle", ignore=shutil.ignore_patterns("engines"))
            command(["evaluate", str(folder / "bundle"), source, "--out", str(report)], folder / "evaluate.txt")
        return OwnBundle(folder / "bundle", source, _read(report), None, None)


def command(arguments: list[str], log: Path) -> None:
    """Run a command of ganspect's as a process; its output goes into a file.

    Raises:
        CommandError: it failed.
    """
    with log.open("w", encoding="utf-8") as out:
        program = [sys.executable, *_GANSPECT, *arguments]
        code = subprocess.run(program, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise CommandError(f"'ganspect {' '.join(arguments)}' ended with status {code}: {last_line(log)}")


def slug(dataset: str) -> str:
    """Return what folders of a data set are called, such as `elpv_mono`."""
    return dataset.replace(":", "_")


def _read(report: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((report / _REPORT).read_text(encoding="utf-8"))
    return metrics
