"""How fast are a search step, the encoder and a whole inspection beside PyTorch, on networks of the papers' size?

    python benchmarks/speed.py --out benchmarks/results         # trains first: about a quarter of an hour on two cores
    python benchmarks/speed.py --run RUN --out DIR              # another run of yours
    python benchmarks/speed.py --page                           # write docs/performance.md from the committed JSON

The physics: one iteration of the search on the papers' networks (benchmarks/speed.yaml) is 0.82 GFLOP at batch 1, half
of it forward, half backward. Nothing that multiplies these matrices as they stand is faster than that over the
processor's rate of plain matrix products; that is the floor. Every backend and precision that `ganspect verify` passes
is timed by `ganspect bench`, in turn with the same search in PyTorch, each in a process of its own.

Then the inspection. PyTorch users of AnoGAN search 500 steps from a random start for every image. Here a part starts at
the encoder's latent, and is done as soon as its score is at or under the threshold. Cells of the test set are judged
one by one as deployed; verdicts are compared with the same search in full; and both searches' AUROC is taken on the
same cells, since a search that finds less may not be called faster.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from speed_page import PAGE, RESULT, page
from speed_profile import profile

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import GanspectError, OutputError, VerificationError
from ganspect.export.exporter import export_run
from ganspect.files import require_writable, write_atomically, write_json
from ganspect.progress import progress_bar
from ganspect.runtime import Inspector
from ganspect.runtime.backends import open_backend
from ganspect.runtime.bench import BenchOptions, bench_bundle
from ganspect.runtime.evaluation.curve import Start, balanced_part
from ganspect.runtime.evaluation.labelled import LabelledImages, open_test_data, read_labelled
from ganspect.runtime.evaluation.metrics import auroc, curves_of
from ganspect.runtime.evaluation.passes import frames_in_batches, largest_of_frames
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verification.command import verify_bundle
from ganspect.runtime.verification.record import Verified, read_verified
from ganspect.train.fit import train_recipe

RECIPE = Path(__file__).parent / "speed.yaml"
DATA = "elpv:mono"
PYTORCH_STEPS = 500
"""Iterations of AnoGAN's paper, from a random start."""

ENCODER_STOPS = (1, 2, 5, 10, 20, 50)
RANDOM_STOPS = (20, 50, 100, 200, PYTORCH_STEPS)
CURVE_CELLS = 60
DEFECTS = 0.01
CANDIDATES = ("onnxruntime", "openvino")


def measure(run: Path, bundle_folder: Path, out: Path, *, seconds: float, cells: int | None) -> dict[str, Any]:
    """Verify, time and inspect; see the head of this file.

    Args:
        run: the trained run.
        bundle_folder: exported from it.
        out: gets `bench/`, the page and figures of `ganspect bench`.
        seconds: for each row of the benchmark.
        cells: test cells to inspect, half of each class as far as there are; None: all.
    """
    verified = _verified(bundle_folder)
    options = BenchOptions(backends=CANDIDATES, against=run, seconds=seconds, data=DATA)
    bench = bench_bundle(bundle_folder, out / "bench", options)
    bundle = open_bundle(bundle_folder)
    with progress_bar() as progress:
        images = read_labelled(bundle, open_test_data(bundle, DATA, None), progress)
        chosen = np.arange(len(images.labels)) if cells is None else balanced_part(images.labels, cells)
        inspection = inspect(bundle, images, chosen)
        curve = iterations_curve(bundle, images)
    ratios = {key: value for key, value in bench["ratios"].items() if isinstance(value, float)}
    step_ms = _reference_ms(bench, "search_step", 1)
    return {
        "benchmark": "speed",
        "ratios": {**ratios, **_inspection_ratios(inspection, PYTORCH_STEPS * step_ms)},
        "share_of_floor": bench.get("share_of_floor"),
        "pytorch": {"step_ms": step_ms, "search_ms": round(PYTORCH_STEPS * step_ms, 1), "steps": PYTORCH_STEPS},
        "inspection": inspection,
        "auroc_over_iterations": curve,
        "verification": [json.loads(result.model_dump_json()) for result in verified],
        "bench": {key: bench[key] for key in ("bundle", "settings", "rows", "over_steps", "reference", "ratios")},
        "profile": profile(bundle),
        "environment": bench["environment"],
    }


def inspect(bundle: Bundle, images: LabelledImages, chosen: Any) -> dict[str, Any]:
    """Judge cells one by one as deployed, and compare the verdicts with the same search without early exit."""
    labels = images.labels[chosen]
    with Inspector.load(bundle.folder, backend="auto") as inspector:
        samples = [images.samples[index] for index in chosen]
        verdicts = [inspector.inspect(sample.read()) for sample in samples]
        search = LatentSearch(bundle, inspector.backend)
        full = [search.full(images.tiles(index).images, steps=inspector.steps).score.max() for index in chosen]
        backend = {"name": inspector.backend.name, "precision": inspector.backend.precision}
    limit = np.float32(bundle.require_calibration().search.value)
    anomalous = np.array([verdict.anomalous for verdict in verdicts])
    took_ms = np.array([verdict.latency_ms["total"] for verdict in verdicts])
    steps = np.array([verdict.steps for verdict in verdicts])
    parts = {"normal": labels == 0, "anomalous": labels == 1, "flagged": anomalous, "cleared": ~anomalous}
    return {
        "backend": backend,
        "steps_at_most": inspector.steps,
        "cells": {name: int(part.sum()) for name, part in parts.items()},
        "ms": {name: _mean(took_ms[part]) for name, part in parts.items()},
        "iterations": {name: _mean(steps[part]) for name, part in parts.items()},
        "one_iteration_was_enough": _mean((steps[labels == 0] <= 1).astype(float)),
        "verdicts_that_differ_from_the_full_search": int((anomalous != ~(np.array(full) <= limit)).sum()),
    }


def iterations_curve(bundle: Bundle, images: LabelledImages) -> dict[str, Any]:
    """Return the AUROC after so many iterations from the encoder's start and from random ones, on the same cells."""
    chosen = balanced_part(images.labels, CURVE_CELLS)
    labels = images.labels[chosen]
    backend, precision = _fastest_fp32(bundle)
    lines: dict[str, dict[str, float]] = {}
    with open_backend(backend, bundle, precision=precision) as engine:
        search = LatentSearch(bundle, engine)
        tiles = list(frames_in_batches(images, chosen))
        plan: tuple[tuple[Start, tuple[int, ...]], ...] = (("encoder", ENCODER_STOPS), ("random", RANDOM_STOPS))
        for start, stops in plan:
            found = [search.full(part, steps=max(stops), start=start, checkpoints=stops) for part, _ in tiles]
            lengths = [length for _, of_part in tiles for length in of_part]
            scores = {stop: np.concatenate([part.scores_at[stop] for part in found]) for stop in stops}
            lines[start] = {
                str(stop): round(_auroc(largest_of_frames(score, lengths), labels), 4) for stop, score in scores.items()
            }
    return {"cells": len(chosen), "backend": backend, **lines}


def _auroc(scores: Any, labels: Any) -> float:
    return float(np.asarray(auroc(curves_of(scores, labels))).ravel()[0])


def _verified(folder: Path) -> list[Verified]:
    """Verify all; one that fails is left to the record, and the others go on."""
    try:
        return verify_bundle(folder, CANDIDATES)
    except VerificationError as error:
        print(f"speed: {error}", file=sys.stderr)
    return read_verified(open_bundle(folder))


def _fastest_fp32(bundle: Bundle) -> tuple[str, Any]:
    for name in reversed(CANDIDATES):
        try:
            open_backend(name, bundle).close()
        except GanspectError:
            continue
        return name, "fp32"
    raise GanspectError("no backend runs the bundle in float32 here; see: ganspect doctor")


def _reference_ms(bench: dict[str, Any], mode: str, batch: int) -> float:
    rows = bench["reference"]["rows"]
    wanted = {"backend": "pytorch-eager", "mode": mode, "batch": batch}
    return float(next(row["p50_ms"] for row in rows if all(row[key] == value for key, value in wanted.items())))


def _inspection_ratios(inspection: dict[str, Any], pytorch_ms: float) -> dict[str, float]:
    ms = inspection["ms"]
    mixed_ms = (1 - DEFECTS) * ms["normal"] + DEFECTS * ms["anomalous"]
    times = {"full_inspection": mixed_ms, "normal_cell": ms["normal"], "anomalous_cell": ms["anomalous"]}
    return {name: round(pytorch_ms / value, 1) for name, value in times.items()}


def _mean(values: Any) -> float | None:
    return round(float(np.mean(values)), 3) if len(values) else None


def run_all(given: argparse.Namespace) -> dict[str, Any]:
    """Train and export what is not given, then measure."""
    with tempfile.TemporaryDirectory(prefix="ganspect-speed-") as folder:
        run = given.run or train_recipe(RECIPE, [], Path(folder) / "run")
        bundle = given.bundle or Path(folder) / "bundle"
        if given.bundle is None:
            export_run(run, bundle)
        return measure(run, bundle, given.out, seconds=given.seconds, cells=given.cells)


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="Time search, encoder and inspection beside PyTorch.")
    parser.add_argument("--out", type=Path, default=RESULT.parent, metavar="DIR")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained run; default: train benchmarks/speed.yaml")
    parser.add_argument("--bundle", type=Path, metavar="BUNDLE", help="exported from it; default: export it")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row of the benchmark")
    parser.add_argument("--cells", type=int, default=None, help="test cells to inspect; default: all")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md from the committed results")
    given = parser.parse_args(arguments)
    try:
        if given.page:
            return _write_page()
        require_writable(given.out)
        result = run_all(given)
    except GanspectError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2
    write_json(given.out / "speed.json", result)
    print(json.dumps(result))
    return 0


def _write_page() -> int:
    if not RESULT.exists():
        raise OutputError(f"{RESULT} is not there; run this without --page first, with --out {RESULT.parent}")
    write_atomically(PAGE, page(json.loads(RESULT.read_text(encoding="utf-8"))).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
