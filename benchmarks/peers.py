"""ganspect's bundles beside anomalib's PaDiM, PatchCore and GANomaly: how well, how fast, how large, on this machine.

    python benchmarks/peers.py --out DIR --data ../shared/data
    python benchmarks/peers.py --out DIR --only aliens --only padim --only linear
    python benchmarks/peers.py --out DIR --smoke                 # minutes: shows that everything runs

anomalib gets an environment of its own, with exact versions (benchmarks/peering/anomalib.txt), and the same backbone
with the same weights, the same pixels and all normal training images of the same split. Its models are exported to
OpenVINO by its own export. Image AUROC, pixel AUROC and AUPRO come from ganspect's code for all. Latency is that of one
frame, uint8 in memory, to its score, on two threads, each model in a process of its own; they take turns, so that what
else the machine does meets all alike. A row that is in DIR/peers.json is not made again, and a model that fails is
recorded with the reason while the others go on. The page of results takes benchmarks/results/peers.json.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from peering.catalogue import DATA_SETS, OURS, PEERS, REFERENCE, SMOKE_SIZE_HW, SMOKE_STEPS, THREADS, Peer
from peering.environments import (
    ANOMALIB_NEEDS,
    OPENVINO_NEEDS,
    RUNTIME_NEEDS,
    Environment,
    Environments,
    InstallError,
    StepError,
)
from peering.figures import Figures
from peering.ours import Own, slug
from peering.processes import MeasuringProcess, take_turns
from peering.rows import Key, Made, Rows, latency_of, percentiles
from peering.splits import Split, export_split
from peering.theirs import TrainedPeer
from peers_page import peers_section
from suites import ROOT, Run, read_suites

from ganspect.errors import ConfigError, GanspectError, OutputError
from ganspect.files import require_writable
from ganspect.preprocess import TileGrid
from ganspect.runtime.machine import cpu_flags
from ganspect.sections import nearest, read_yaml
from ganspect.train.systems import parse_recipe

FRAMES, SMOKE_FRAMES = 200, 10

_SMOKE = (
    f"image.size_hw={list(SMOKE_SIZE_HW)}",
    *(f"training.{stage}.steps={SMOKE_STEPS}" for stage in ("gan", "encoder", "refine")),
)


@dataclass(frozen=True)
class Candidate:
    """A model that is ready to be timed.

    Attributes:
        key: its row's key.
        made: what is known of it.
        environment: the environment that it runs in.
        module: the module that serves it.
        opened_with: fields of the request `open`.
    """

    key: Key
    made: Made
    environment: Environment
    module: str
    opened_with: Mapping[str, Any]


class Comparison:
    """One data set and seed: makes the models, times them, writes rows."""

    def __init__(
        self, run: Run, names: frozenset[str], rows: Rows, work: Path, data: Path | None, *, smoke: bool
    ) -> None:
        """Take what is asked for.

        Args:
            run: the run of the system `linear` on this data set; its recipe says how large images are.
            names: names of the models that are wanted.
            rows: rows that were made before.
            work: folder for everything that is made on the way.
            data: folder of data files.
            smoke: whether this is to end soon, whatever comes out.
        """
        self._run, self._names, self._rows, self._smoke = run, names, rows, smoke
        self._work = work / f"{slug(run.data)}__seed{run.seed}"
        self._source = run.source(data)
        self._grid = recipe_grid(run)
        self._precisions = ("fp32", "bf16") if {"avx512_bf16", "amx_bf16"} & set(cpu_flags()) else ("fp32",)

    def make(self, own: Own, own_runs: Sequence[Run], environments: Environments) -> None:
        """Make all rows that are missing."""
        anomalib, runtime = environments.anomalib(), environments.runtime()
        candidates: list[Candidate] = []
        for peer in PEERS.values():
            if peer.name in self._names | {REFERENCE[0]}:  # all latencies are divided by the reference's
                candidates += self._tried(peer.name, "model", partial(self._peer, peer, anomalib))
        for run in own_runs:
            name = system_of(run)
            if name in self._names:
                candidates += self._tried(name, "model", partial(self._own, run, own, runtime))
        missing = [one for one in candidates if not self._rows.has(one.key)]
        if any(one.key.name in self._names for one in missing):
            self._time(missing, next((one for one in candidates if one.key.is_reference), None))

    def _tried(self, name: str, what: str, make: Callable[[], list[Candidate]]) -> list[Candidate]:
        """Return what is made; where that fails, record the reason and return nothing."""
        self._say(name if what == "model" else f"{name}, {what}")
        try:
            made = make()
        except InstallError:
            raise
        except GanspectError as error:
            self._fail(name, what, error)
            return []
        self._rows.forget_failure(self._run.data, self._run.seed, name, what)
        return made

    def _fail(self, name: str, what: str, error: GanspectError) -> None:
        print(f"peers: {name} failed on {self._run.data}: {error}", file=sys.stderr)
        self._rows.fail(self._run.data, self._run.seed, name, what, error)

    def _say(self, what: str) -> None:
        print(f"{self._run.data}, seed {self._run.seed}: {what}", file=sys.stderr)

    def _key(self, name: str, runner: str, backend: str, precision: str) -> Key:
        return Key(self._run.data, self._run.seed, name, runner, backend, precision)

    # Peers

    def _peer(self, peer: Peer, environment: Environment) -> list[Candidate]:
        """Train, export and judge one of anomalib's models."""
        split = self._split(peer)
        model = TrainedPeer.of(peer, split, self._run.seed, self._work / peer.name, environment, smoke=self._smoke)
        try:
            exported = model.export()
        except StepError as error:
            self._fail(peer.name, "export to OpenVINO", error)
            return [self._peer_candidate(model, split, "anomalib", "torch", "fp32")]
        self._rows.forget_failure(self._run.data, self._run.seed, peer.name, "export to OpenVINO")
        return [
            self._peer_candidate(model, split, "anomalib", "openvino", "fp32", exported),
            *(self._peer_candidate(model, split, "none", "openvino", one, exported) for one in self._precisions),
        ]

    def _split(self, peer: Peer) -> Split:
        height, width = self._grid.size_hw if peer.size_hw is None else peer.size_hw
        grid = dataclasses.replace(self._grid, size_hw=(height, width))
        return export_split(
            self._source, seed=self._run.seed, grid=grid, folder=self._work / f"images-{height}x{width}"
        )

    def _peer_candidate(
        self, model: TrainedPeer, split: Split, runner: str, backend: str, precision: str, xml: Path | None = None
    ) -> Candidate:
        deployed = model.torch_file if xml is None else xml
        opened_with = {
            **{"model": str(deployed), "precision": precision, "threads": THREADS},
            **{"size_hw": list(split.grid.size_hw), "channels": split.grid.channels},
            "frames": str(split.folder / "frames.npz"),
        }
        files = [deployed] if xml is None else [deployed, deployed.with_suffix(".bin")]
        installed = model.environment.installed(ANOMALIB_NEEDS if runner == "anomalib" else OPENVINO_NEEDS)
        judge = "peering.serve_anomalib" if xml is None else "peering.serve_openvino"
        made = Made(
            figures=model.figures(split, judge, opened_with),
            model_bytes=sum(path.stat().st_size for path in files),
            installed_bytes=installed.bytes,
            **model.seconds(),
            details={**model.trained(), "cuda_bytes": installed.cuda_bytes, "test_images": len(split.samples)},
        )
        module = "peering.serve_anomalib" if runner == "anomalib" else "peering.serve_openvino"
        key = self._key(model.peer.name, runner, backend, precision)
        return Candidate(key, made, model.environment, module, opened_with)

    # ganspect

    def _own(self, run: Run, own: Own, environment: Environment) -> list[Candidate]:
        bundle = own.make(run)
        split = self._split(PEERS[REFERENCE[0]])
        judged = sum(bundle.metrics["counts"][key] for key in ("normal", "anomalous"))
        if judged != len(split.samples):
            raise OutputError(f"{bundle.folder} was judged on {judged} test images, peers on {len(split.samples)}")
        frames = str(split.folder / "frames.npz")

        def candidate(backend: str, precision: str) -> Candidate:
            metrics = bundle.metrics if precision == "fp32" else bundle.bf16_metrics(environment)
            installed = environment.installed(RUNTIME_NEEDS[backend])
            made = Made(
                figures=Figures.of_metrics(metrics),
                model_bytes=bundle.size_bytes,
                installed_bytes=installed.bytes,
                training_s=bundle.training_s,
                export_s=bundle.export_s,
                details={"mode": metrics["protocol"]["mode"], "cuda_bytes": 0, "test_images": judged},
            )
            opened_with = {
                **{"bundle": str(bundle.folder), "backend": backend, "precision": precision},
                **{"threads": THREADS, "frames": frames},
            }
            key = self._key(system_of(run), "ganspect", backend, precision)
            return Candidate(key, made, environment, "peering.serve_ganspect", opened_with)

        found = [candidate("openvino", "fp32"), candidate("onnxruntime", "fp32")]
        if "bf16" in self._precisions:
            found += self._tried(system_of(run), "bf16", lambda: [candidate("openvino", "bf16")])
        return found

    # Latency

    def _time(self, missing: Sequence[Candidate], reference: Candidate | None) -> None:
        """Time models in rounds, the reference among them, and write their rows."""
        timed = {one.key: one for one in missing} | ({} if reference is None else {reference.key: reference})
        self._say(f"latency of {len(timed)} models")
        folder = self._work / "latency"
        shutil.rmtree(folder, ignore_errors=True)  # anomalib's inferencer keeps compiled models there
        with ExitStack() as opened:
            processes = {}
            for key, one in timed.items():
                log = folder / f"{key.name}-{key.runner}-{key.backend}-{key.precision}.txt"
                process = opened.enter_context(MeasuringProcess(one.environment, one.module, log=log))
                try:
                    process.ask("open", **one.opened_with)
                    processes[key] = process
                except GanspectError as error:
                    self._fail(key.name, latency_of(key), error)
            results, failed = take_turns(processes, frames=SMOKE_FRAMES if self._smoke else FRAMES)
        for key, reason in failed.items():
            self._fail(key.name, latency_of(key), reason)
        of_reference = results.get(reference.key) if reference is not None else None
        reference_ms = None if of_reference is None else percentiles(of_reference.samples_ms)[0]
        for one in missing:
            if one.key in results:
                self._rows.add(one.key, one.made, results[one.key], reference_ms)


def recipe_grid(run: Run) -> TileGrid:
    """Return size and channels of the images that a run's recipe asks for."""
    recipe = parse_recipe(read_yaml(ROOT / run.case.recipe, list(run.case.overrides)), run.case.recipe)
    return TileGrid(recipe.image.size_hw, recipe.image.channels)


def system_of(run: Run) -> str:
    """Return the system of a run's recipe."""
    return run.case.recipe.stem.removesuffix("_features")


def for_smoke(run: Run) -> Run:
    """Return a run that is trained for moments, on small images."""
    stages = read_yaml(ROOT / run.case.recipe, []).get("training", {})
    settings = [one for one in _SMOKE if one.startswith("image.") or one.split(".")[1] in stages]
    return dataclasses.replace(run, case=run.case.model_copy(update={"overrides": (*run.case.overrides, *settings)}))


def wanted_runs(only: Sequence[str], *, smoke: bool, every_seed: bool) -> Iterator[tuple[Run, list[Run]]]:
    """Yield for each data set and seed the run of `linear`, and those of all systems.

    Args:
        only: data sets and models that were asked for; where no data set is among them, all are.
        smoke: the first data set alone, unless others were asked for.
        every_seed: not only the first seed of each data set.
    """
    runs = [run for run in read_suites()["features"].runs() if system_of(run) in OURS]
    runs = [for_smoke(run) for run in runs] if smoke else runs
    asked = [name for name in DATA_SETS if name in only] or (DATA_SETS[:1] if smoke else DATA_SETS)
    for name in asked:
        of_data = [run for run in runs if run.data == name]
        seeds = sorted({run.seed for run in of_data if system_of(run) == "linear"})
        for seed in seeds if every_seed else seeds[:1]:
            of_seed = [run for run in of_data if run.seed == seed]
            yield next(run for run in of_seed if system_of(run) == "linear"), of_seed


def wanted_names(only: Sequence[str]) -> frozenset[str]:
    """Return the models that were asked for, or all.

    Raises:
        ConfigError: something that was asked for is neither a model nor a data set.
    """
    models = [*PEERS, *OURS]
    for name in only:
        if name not in models and name not in DATA_SETS:
            raise ConfigError(
                f"there is no model and no data set {name!r} to take --only of; {nearest(name, [*models, *DATA_SETS])}"
            )
    return frozenset(name for name in models if name in only) or frozenset(models)


def require_data(runs: Sequence[Run], data: Path | None) -> None:
    """Refuse a data folder that lacks what the runs need.

    Raises:
        OutputError: it is absent, or lacks a data set.
    """
    for run in runs:
        if not run.data.startswith("elpv") and (data is None or not (data / run.data).is_dir()):
            raise OutputError(
                f"the data folder {data} has no {run.data}; give the folder that holds it with --data, or leave that "
                f"data set out with --only"
            )


def _prove_backbone(environment: Environment, work: Path) -> dict[str, Any]:
    """Return the proof that timm's network with the package's weights is ganspect's.

    Raises:
        StepError: it is not.
    """
    path = require_writable(work) / "backbone.json"
    if not path.exists():
        environment.run(["-m", "peering.backbone", str(path.absolute())], log=work.absolute() / "backbone.txt")
    proof: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return proof


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Make all rows that were asked for, and return the content of peers.json."""
    names = wanted_names(given.only)
    runs = list(wanted_runs(given.only, smoke=given.smoke, every_seed=given.every_seed))
    require_data([run for run, _ in runs], given.data)
    if given.bundles is not None and not given.bundles.is_dir():
        raise OutputError(f"the folder of bundles {given.bundles} does not exist; give one with DATASET/SYSTEM in it")
    rows = Rows.open(require_writable(given.out) / "peers.json", smoke=given.smoke)
    work = require_writable(given.out / "work").absolute()
    environments = Environments(given.cache)
    anomalib = environments.anomalib()
    rows.describe(
        backbone=_prove_backbone(anomalib, work),
        versions={
            "anomalib": anomalib.installed(ANOMALIB_NEEDS).versions,
            "ganspect": environments.runtime().installed(RUNTIME_NEEDS["openvino"]).versions,
        },
    )
    own = Own(work / "own", given.data, given.bundles)
    for run, of_seed in runs:
        Comparison(run, names, rows, work, given.data, smoke=given.smoke).make(own, of_seed, environments)
    return rows.content


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 where a model failed, 2 on bad input, 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Compare ganspect's bundles with anomalib's models.")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for peers.json and all on the way to it"
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("GANSPECT_DATA"), metavar="DIR")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a data set or a model; repeatable: all named"
    )
    parser.add_argument("--smoke", action="store_true", help="small images, few steps: shows that everything runs")
    parser.add_argument("--every-seed", action="store_true", help="not only the first seed of each data set")
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="with DATASET/SYSTEM: bundles trained already")
    parser.add_argument(
        "--cache", type=Path, default=_default_cache(), metavar="DIR", help="for environments; %(default)s"
    )
    given = parser.parse_args(arguments)
    try:
        given.data = None if given.data is None else given.data.absolute()
        content = compare(given)
    except GanspectError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; start this again and it goes on", file=sys.stderr)
        return 130
    print(peers_section(content))
    return 1 if content["failures"] else 0


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganspect-peers"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
