"""How long does one iteration of the latent search take on your GPU, and what share of the hardware is that?

    python benchmarks/gpu_speed.py --out DIR                          # an NVIDIA GPU, about ten minutes
    python benchmarks/gpu_speed.py --out DIR --bundle BUNDLE          # exported there once, taken from there later
    python benchmarks/gpu_speed.py --out DIR --device cpu --bundle BUNDLE --batch 1    # export it without a GPU

The networks are the paper's (configs/fanogan_paper.yaml: width 64, latent 128, 64x64 grey) with random weights: times
do not depend on them. The same search is run by PyTorch as one would write it, by PyTorch compiled with CUDA graphs, by
ONNX Runtime's CUDA provider with the search graph (its Loop) and with the step graph (one CUDA graph an iteration), and
by TensorRT-RTX where that is installed and takes the GPU. No early exit: every row takes every iteration.

The physics. An iteration is one pass forward and one backward through generator and features. At batch 1 a kernel is
over before the host has launched the next one: time is launches, and CUDA graphs save them. At batch 1024 time is
arithmetic: FLOP over the rate of a matrix product of that precision, measured here, is the floor, and
`share_of_matrix_rate` says how near it comes. float32 is float32 throughout: TF32 is off for all contenders.

Each contender has a process of its own (thread pools and allocators of two in one process disturb each other); they
take turns, several rounds, so that what else the machine does hits all alike; the median round counts. One that cannot
run is left out with the reason. PyTorch and the step graph compute f(x) in each iteration, the Loop and the compiled
PyTorch once a call.

Needs torch with CUDA, numpy, onnx, onnxscript, OpenCV, pydantic, PyYAML, rich and safetensors; onnxruntime-gpu for the
two contenders of that name, tensorrt-rtx-cu13 and cuda-python for the last. Runs from a clone without installing it,
with the clone's folder in PYTHONPATH. With `--bundle` onnxscript and the export's PyTorch (2.13) are needed only where
the bundle is made.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from gpu_contenders import (
    CONTENDERS,
    Job,
    RecipeFile,
    gflop_per_row,
    load_recipe,
    matrix_tflops,
    milliseconds_per_step,
    prepare,
)

from ganspect import __version__
from ganspect.bundle import MANIFEST, open_bundle
from ganspect.errors import ConfigError, DeviceError, GanspectError
from ganspect.export.exporter import write_graphs, write_manifest
from ganspect.files import new_folder, require_writable, write_json
from ganspect.progress import progress_bar
from ganspect.records import Health, TrainingRecord
from ganspect.runtime.machine import machine
from ganspect.train.run import Run, build_system
from ganspect.train.systems import find_system

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "configs/fanogan_paper.yaml"
PRECISIONS = ("fp32", "fp16")
EAGER = "pytorch-eager"
MATRIX_SIZE = {"cuda": 8192, "cpu": 512}
_PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "tensorrt-rtx-cu13", "tensorrt", "nvidia-cudnn-cu13")


def export(recipe: RecipeFile, folder: Path) -> None:
    """Export a recipe's networks with random weights into a bundle without a threshold."""
    parsed = load_recipe(recipe)
    system = build_system(parsed, find_system(parsed.system, str(recipe[0]))).eval().requires_grad_(False)
    training = TrainingRecord(
        source="none", split_seed=0, n_training=0, n_skipped=0, fingerprints=[], held_out=[], steps={}
    )
    with new_folder(folder, what=MANIFEST) as unfinished:
        write_graphs(system, parsed, unfinished)
        write_manifest(Run(folder, system, parsed, training, Health()), unfinished, {})


def jobs_of(given: argparse.Namespace, bundle: Path, batch: int) -> list[Job]:
    """Return what is timed at a batch size: every contender in every precision."""
    return [
        Job(contender, precision, batch, bundle, (given.recipe, tuple(given.set)), given.device, given.steps)
        for precision in PRECISIONS
        for contender in given.contenders
    ]


def reason_against(job: Job) -> str | None:
    """Return why a job need not be tried."""
    if (
        job.precision == "fp16"
        and not job.contender.startswith("pytorch")
        and not open_bundle(job.bundle).has_variant("fp16")
    ):
        return "the bundle has no fp16 graphs"
    if job.device == "cpu" and job.contender == "tensorrt-rtx":
        return "needs a GPU"
    return None


def time_batch(jobs: Sequence[Job], rounds: int, seconds: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Time jobs in turns; return rows, and what was left out with the reason."""
    rows, left_out = [], []
    with ExitStack() as stack:
        ready: dict[Job, ProcessPoolExecutor] = {}
        notes: dict[Job, dict[str, Any]] = {}
        for job in jobs:
            pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
            try:
                if reason := reason_against(job):
                    raise ConfigError(reason)
                notes[job] = pool.submit(prepare, job).result()
                ready[job] = pool
            except Exception as error:  # whatever a contender raises, the others go on
                left_out.append(_named(job) | {"reason": _one_line(error)})
        times: dict[Job, list[float]] = {job: [] for job in ready}
        for _ in range(rounds):
            for job, pool in ready.items():
                times[job].append(pool.submit(milliseconds_per_step, seconds).result())
        for job, found in times.items():
            rows.append(_named(job) | {"ms_per_step": median(found), "rounds_ms": found} | notes[job])
    return rows, left_out


def add_ratios(rows: list[dict[str, Any]], tflops: dict[str, float], gflop: float) -> None:
    """Add to each row how many times faster than eager PyTorch it is, and its share of the matrix product's rate."""
    eager = {(row["precision"], row["batch"]): row["ms_per_step"] for row in rows if row["contender"] == EAGER}
    for row in rows:
        rate = gflop * row["batch"] / row["ms_per_step"]
        row["share_of_matrix_rate"] = rate / tflops[row["precision"]]
        if base := eager.get((row["precision"], row["batch"])):
            row["times_pytorch_eager"] = base / row["ms_per_step"]


def measure(given: argparse.Namespace, bundle: Path) -> dict[str, Any]:
    """Measure everything; see the head of this file."""
    recipe = (given.recipe, tuple(given.set))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        size = MATRIX_SIZE[given.device]
        tflops = pool.submit(matrix_tflops, given.device, size, given.seconds).result()
        gflop = pool.submit(gflop_per_row, recipe).result()
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    with progress_bar() as progress:
        task = progress.add_task("batches", total=len(given.batch), detail="")
        for batch in given.batch:
            progress.update(task, detail=str(batch))
            timed, missing = time_batch(jobs_of(given, bundle, batch), given.rounds, given.seconds)
            rows, left_out = rows + timed, left_out + missing
            progress.update(task, advance=1)
    add_ratios(rows, tflops, gflop)
    return {
        "benchmark": "gpu_speed",
        "rows": _rounded(rows),
        "ratios": {_key(row): row["times_pytorch_eager"] for row in _rounded(rows) if "times_pytorch_eager" in row},
        "left_out": left_out,
        "matrix_tflops": _rounded(tflops),
        "gflop_per_row_and_step": round(gflop, 4),
        "steps_per_call": given.steps,
        "environment": environment(given.device) | machine(),
    }


def environment(device: str) -> dict[str, Any]:
    """Return the device, its driver and the versions of what ran on it."""
    versions = {"ganspect": __version__, "device": "cpu", "driver": None, "cuda": torch.version.cuda}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    if device == "cuda":
        versions["device"] = torch.cuda.get_device_name()
        versions["driver"] = _driver()
    return versions


def _driver() -> str | None:
    command = ["nvidia-smi", "--id=0", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _named(job: Job) -> dict[str, Any]:
    return {"contender": job.contender, "precision": job.precision, "batch": job.batch}


def _key(row: dict[str, Any]) -> str:
    return f"{row['contender']}_{row['precision']}_batch_{row['batch']}"


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


@contextmanager
def _bundle(given: argparse.Namespace) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path: Path = given.bundle or Path(folder) / "bundle"
        if not (path / MANIFEST).is_file():
            export((given.recipe, tuple(given.set)), path)
        yield path


def _require_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"PyTorch {torch.__version__} sees no CUDA GPU here; run this where nvidia-smi shows one, with a "
            "PyTorch for CUDA, or try the script out with --device cpu --batch 1"
        )


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the latent search on a GPU.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="export there, or take what is there already")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=lambda text: [int(part) for part in text.split(",")], default=[1, 64, 1024])
    parser.add_argument("--steps", type=int, default=20, help="iterations of one call")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contender in each round")
    parser.add_argument("--contenders", nargs="+", choices=tuple(CONTENDERS), default=tuple(CONTENDERS))
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override in the recipe")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    given = _arguments(arguments)
    try:
        _require_device(given.device)
        out = require_writable(given.out) / "gpu_speed.json"
        with _bundle(given) as bundle:
            result = measure(given, bundle)
    except GanspectError as error:
        print(f"gpu_speed: {error}", file=sys.stderr)
        return 2
    write_json(out, result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
