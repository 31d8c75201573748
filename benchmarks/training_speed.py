"""How fast does the training stage of each system run, and what do precision, memory layout and processes do for it?

    python benchmarks/training_speed.py --out benchmarks/results
    python benchmarks/training_speed.py --page       # write docs/training_speed.md from the committed JSON

Steps of a recipe's first stage, on random images of its size, are timed in four ways: in float32 and in bfloat16
(autocast), each with PyTorch's plain memory layout and channels-last. The ways take turns, several rounds, so that what
else the machine does hits all alike; the fastest round counts. Then the same steps by one process with all cores
against one process a core, each with one thread: what a suite of many small trainings should do. Ratios are to float32
in the plain layout, as PyTorch does it unasked.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganspect import __version__
from ganspect.errors import GanspectError, OutputError
from ganspect.files import require_writable, write_atomically, write_json
from ganspect.progress import progress_bar
from ganspect.runtime.machine import machine
from ganspect.sections import read_yaml
from ganspect.train.compute import Compute, Precision
from ganspect.train.systems import find_system, parse_recipe
from ganspect.train.trainer import trial_step

ROOT = Path(__file__).parents[1]
RECIPES = tuple(
    f"configs/{system}_{data}.yaml"
    for data in ("mnist_one_class", "elpv_mono")
    for system in ("anogan", "fanogan", "egbad", "ganomaly")
)
PAGE, RESULT = ROOT / "docs/training_speed.md", ROOT / "benchmarks/results/training_speed.json"
ROUNDS = 3
ROUND_S = 1.5
PARALLEL_S = 6.0


class PlainLayout(Compute):
    """Leaves weights and images in PyTorch's plain layout, one channel after the other."""

    def place(self, network: nn.Module) -> None:
        """Move a network to the device, its layout as it is."""
        network.to(self.device)

    def images(self, images: Tensor) -> Tensor:
        """Return images on the device, their layout as it is."""
        return images.to(self.device)


WAYS: dict[str, tuple[type[Compute], Precision]] = {
    "fp32": (PlainLayout, "fp32"),
    "fp32, channels-last": (Compute, "fp32"),
    "bf16": (PlainLayout, "bf16"),
    "bf16, channels-last": (Compute, "bf16"),
}


def step_of(recipe: str, way: str) -> tuple[Callable[[], object], int]:
    """Return a function that takes a training step of a recipe's first stage, and the images it takes."""
    parsed = parse_recipe(read_yaml(ROOT / recipe, []), Path(recipe))
    system_type = find_system(parsed.system, recipe)
    kind, precision = WAYS[way]
    compute = kind(torch.device("cuda" if torch.cuda.is_available() else "cpu"), precision)
    stage = next(iter(system_type(parsed).stages(compute).values())).make()
    return trial_step(system_type(parsed), compute), stage.batch_size * stage.batches_per_step


def images_per_s(step: Callable[[], object], images: int, seconds: float) -> float:
    """Return how many images a second steps take that are repeated for so many seconds."""
    begin, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < seconds or not steps:
        step()
        steps += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return images * steps / spent


def by_ways(recipe: str) -> dict[str, float]:
    """Return images per second of each way, the best of several rounds in which they take turns."""
    steps = {way: step_of(recipe, way) for way in WAYS}
    for step, _ in steps.values():
        step()
    best = dict.fromkeys(WAYS, 0.0)
    for _ in range(ROUNDS):
        for way, (step, images) in steps.items():
            best[way] = max(best[way], images_per_s(step, images, ROUND_S))
    return best


def by_processes(recipe: str, way: str, cores: int) -> dict[str, float]:
    """Return images per second of one process with all cores, and of all processes together with a core each."""
    found = {}
    for name, processes, threads in zip(_PROCESSES, (1, cores), (cores, 1), strict=True):
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            # The first round only starts the processes, so that all measure at the same time.
            for seconds in (0.1, PARALLEL_S):
                jobs = [pool.submit(_in_process, recipe, way, threads, seconds) for _ in range(processes)]
                found[name] = sum(job.result() for job in jobs)
    return found


def _in_process(recipe: str, way: str, threads: int, seconds: float) -> float:
    torch.set_num_threads(threads)
    step, images = step_of(recipe, way)
    step()
    return images_per_s(step, images, seconds)


def measure(recipes: Sequence[str]) -> dict[str, Any]:
    """Measure all recipes; see the head of this file."""
    cores, rows = len(os.sched_getaffinity(0)), {}
    with progress_bar() as progress:
        task = progress.add_task("speed", total=len(recipes), detail="")
        for recipe in recipes:
            progress.update(task, detail=Path(recipe).stem)
            ways = by_ways(recipe)
            fastest = max(ways, key=lambda way: ways[way])
            row: dict[str, Any] = {"images_per_s": _rounded(ways), "fastest": fastest}
            row["times_fp32"] = {way: round(value / ways["fp32"], 2) for way, value in ways.items()}
            if cores > 1 and not torch.cuda.is_available():
                row["processes"] = _rounded(by_processes(recipe, fastest, cores))
            rows[recipe] = row
            progress.update(task, advance=1)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    versions = {"ganspect": __version__, "torch": torch.__version__, "device": device}
    return {"benchmark": "training_speed", "recipes": rows, "environment": versions | machine()}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}


def page(result: dict[str, Any]) -> str:
    """Return docs/training_speed.md: a table of images per second, best way bold, and ratios to the first column."""
    environment, rows = result["environment"], []
    for recipe, row in result["recipes"].items():
        processes = row.get("processes", {})
        cells = [_cell(row, way) for way in WAYS] + [
            f"{processes[name]:.0f}" if processes else "–" for name in _PROCESSES
        ]
        gain = max(*row["images_per_s"].values(), *processes.values()) / row["images_per_s"]["fp32"]
        rows.append([f"`{Path(recipe).stem}`", *cells, f"{gain:.1f}"])
    heads = ["recipe", *WAYS, *_PROCESSES, "best / first"]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    cores = environment["cores"]
    machine_line = f"{environment['processor']}, {cores} cores, {environment['device']}, PyTorch {environment['torch']}"
    return _HEAD + "\n".join(lines) + f"\n\nMeasured on: {machine_line}.\n"


def _cell(row: dict[str, Any], way: str) -> str:
    text = f"{row['images_per_s'][way]:.0f} ({row['times_fp32'][way]:.1f}x)"
    return f"**{text}**" if row["fastest"] == way else text


_PROCESSES = ("one process", "a process a core")

_HEAD = """# How fast training runs

Made by `python benchmarks/training_speed.py --page` from `benchmarks/results/training_speed.json`; do not edit.
Images per second of each recipe's first stage, in four ways that took turns in one process on all cores; in brackets,
times PyTorch's plain float32. Then the fastest way again: one process on all cores, and a process a core with one
thread each, all together. Where many small models are trained (a suite, a model a camera), start one `ganspect train`
a core with `OMP_NUM_THREADS=1` if the last but one column is the larger.

"""


def _write_page() -> int:
    if not RESULT.exists():
        raise OutputError(f"{RESULT} is not there; run this without --page first, with --out {RESULT.parent}")
    write_atomically(PAGE, page(json.loads(RESULT.read_text(encoding="utf-8"))).encode())
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="Time training steps.")
    parser.add_argument("recipes", nargs="*", default=RECIPES, metavar="RECIPE", help="from the project's folder")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--page", action="store_true", help="write docs/training_speed.md from the committed results")
    given = parser.parse_args(arguments)
    try:
        if given.page:
            return _write_page()
        path = require_writable(given.out) / "training_speed.json"
        result = measure(given.recipes)
    except GanspectError as error:
        print(f"training_speed: {error}", file=sys.stderr)
        return 2
    write_json(path, result)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
