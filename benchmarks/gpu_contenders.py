"""The latent search in every way that benchmarks/gpu_speed.py times: each is made in a process of its own.

    pool.submit(prepare, Job("pytorch-eager", "fp32", 64, bundle, recipe, "cuda", steps=20))
    pool.submit(milliseconds_per_step, seconds=1.0)

A contender is a function that takes K iterations from the same starts and leaves nothing running on the device.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch

from ganspect.bundle import open_bundle
from ganspect.config import Recipe
from ganspect.export.exporter import search_record
from ganspect.export.floor import step_gflop
from ganspect.export.formulas import Formulas, compose
from ganspect.export.reference import ReferenceSearch, initial_state
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.onnxruntime_cuda import OnnxRuntimeCuda
from ganspect.runtime.rows import begin_state
from ganspect.scoring import State
from ganspect.sections import read_yaml
from ganspect.train.run import build_system
from ganspect.train.system import System
from ganspect.train.systems import find_system, parse_recipe

Search: TypeAlias = Callable[[], object]

RecipeFile: TypeAlias = tuple[Path, tuple[str, ...]]
"""A recipe's file and its overrides."""


@dataclass(frozen=True)
class Job:
    """What one process times.

    Attributes:
        contender: key of `CONTENDERS`.
        precision: `fp32` (TF32 off) or `fp16`.
        batch: rows.
        bundle: exported from `recipe` with random weights.
        recipe: a YAML file and its overrides.
        device: `cuda`, or `cpu` to try the script out.
        steps: K, iterations of one call.
    """

    contender: str
    precision: str
    batch: int
    bundle: Path
    recipe: RecipeFile
    device: str
    steps: int


class OnnxRuntimeHere(OnnxRuntimeCuda):
    """The GPU's backend with the CPU in its place, to try the script out."""

    name = "onnxruntime-here"
    provider: ClassVar[str] = "CPUExecutionProvider"
    _kind: ClassVar[str] = "cpu"


_prepared: dict[str, Any] = {}


def prepare(job: Job) -> dict[str, Any]:
    """Make a contender in this process and run it twice, for what is compiled, captured or searched for.

    Returns:
        What is worth a note beside its times.
    """
    torch.set_grad_enabled(True)
    search, notes = CONTENDERS[job.contender](job)
    for _ in range(2):
        search()
    _prepared.update(job=job, search=search)
    return notes() | {"peak_gpu_mb": _peak_mb(job)}


def milliseconds_per_step(seconds: float) -> float:
    """Time the contender of this process for so many seconds, one call at least."""
    job, search = _prepared["job"], _prepared["search"]
    begin_ns, calls = time.perf_counter_ns(), 0
    while (spent_ns := time.perf_counter_ns() - begin_ns) < seconds * 1e9 or not calls:
        search()
        calls += 1
    return float(spent_ns / 1e6 / (calls * job.steps))


def matrix_tflops(device: str, size: int, seconds: float) -> dict[str, float]:
    """Return the rates of a square matrix product, in TFLOP/s: fp32 without and with TF32, and fp16."""
    rates = {}
    for name, dtype, tf32 in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("fp16", torch.half, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        spent, count = _repeat(partial(torch.matmul, left, right), device, seconds)
        rates[name] = 2 * size**3 * count / spent / 1e12
    return rates


def gflop_per_row(recipe: RecipeFile) -> float:
    """Return the 10^9 FLOP of one iteration for one row: convolutions and matrix products, f(x) not among them."""
    system, parsed = _system(recipe)
    formulas = _formulas(system, parsed)
    arguments = _body_arguments(formulas, *_tensors(parsed, 1, "cpu"))
    return step_gflop(partial(formulas.body, *arguments))


def _eager(job: Job) -> tuple[Search, Callable[[], dict[str, Any]]]:
    system, recipe = _system(job.recipe)
    search = ReferenceSearch(system.to(job.device), search_record(recipe), recipe.score.search)
    image, state, threshold = _tensors(recipe, job.batch, job.device)

    def run() -> None:
        following = state
        with _autocast(job):
            for _ in range(job.steps):
                following = search.iteration(image, following, threshold)
        _wait(job.device)

    return run, dict


def _compiled(job: Job) -> tuple[Search, Callable[[], dict[str, Any]]]:
    system, recipe = _system(job.recipe)
    formulas = _formulas(system.to(job.device), recipe)
    fixed = _body_arguments(formulas, *_tensors(recipe, job.batch, job.device))
    first = len(fixed) - 8
    body = torch.compile(formulas.body, mode="reduce-overhead" if job.device == "cuda" else None, dynamic=False)

    def run() -> None:
        state = fixed[first : first + 6]
        with _autocast(job):
            for _ in range(job.steps):
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                # CUDA graphs write to the same memory again: what goes in must not lie where it comes out.
                state = [tensor.clone() for tensor in body(*fixed[:first], *state, *fixed[first + 6 :])[1:]]
        _wait(job.device)

    return run, dict


def _onnxruntime_loop(job: Job) -> tuple[Search, Callable[[], dict[str, Any]]]:
    backend = _onnxruntime(job)
    inputs = _arrays(job) | {"steps": np.asarray(job.steps, np.int64)}
    return lambda: backend.run("search", inputs), lambda: {"device": backend.device}


def _onnxruntime_steps(job: Job) -> tuple[Search, Callable[[], dict[str, Any]]]:
    backend, inputs = _onnxruntime(job), _arrays(job)
    return lambda: backend.run_steps(inputs, job.steps), lambda: {"cuda_graph": backend.captures}


def _tensorrt_rtx(job: Job) -> tuple[Search, Callable[[], dict[str, Any]]]:
    backend = open_backend("tensorrt-rtx", open_bundle(job.bundle), precision=job.precision)  # type: ignore[arg-type]
    inputs = _arrays(job) | {"steps": np.asarray(job.steps, np.int64)}
    return lambda: backend.run("search", inputs), lambda: {"device": backend.device}


CONTENDERS: dict[str, Callable[[Job], tuple[Search, Callable[[], dict[str, Any]]]]] = {
    "pytorch-eager": _eager,
    "pytorch-compiled": _compiled,
    "onnxruntime-loop": _onnxruntime_loop,
    "onnxruntime-steps": _onnxruntime_steps,
    "tensorrt-rtx": _tensorrt_rtx,
}
"""What makes each contender; returns the search, and a function that returns notes once it has run."""


def load_recipe(recipe: RecipeFile) -> Recipe:
    """Read a recipe with its overrides; it needs no data."""
    path, overrides = recipe
    return parse_recipe(read_yaml(path, list(overrides)), path)


def _system(recipe: RecipeFile) -> tuple[System, Recipe]:
    parsed = load_recipe(recipe)
    system = build_system(parsed, find_system(parsed.system, str(recipe[0])))
    return system.eval().requires_grad_(False), parsed


def _formulas(system: System, recipe: Recipe) -> Formulas:
    return compose(system, search_record(recipe), recipe.score.search, recipe.score.encoder)


def _tensors(recipe: Recipe, batch: int, device: str) -> tuple[torch.Tensor, State, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    image = torch.randint(
        0, 256, (batch, *recipe.image.size_hw, recipe.image.channels), dtype=torch.uint8, generator=random
    )
    state = initial_state(torch.randn(batch, recipe.network.latent_size, generator=random))
    return image.to(device), State(*(tensor.to(device) for tensor in state)), torch.tensor(-torch.inf, device=device)


def _body_arguments(formulas: Formulas, image: torch.Tensor, state: State, threshold: torch.Tensor) -> list[Any]:
    """Return the arguments of `Formulas.body`: x and what is fixed of it, the state (7), the threshold."""
    *fixed, _ = formulas.prepare(image, state.best_score, state.part, threshold)
    return [*fixed, *state, threshold]


def _arrays(job: Job) -> dict[str, np.ndarray[Any, Any]]:
    image, state, threshold = _tensors(load_recipe(job.recipe), job.batch, "cpu")
    begun = begin_state(state.latent.numpy(), state.part.numpy())
    return {"image": image.numpy(), **begun._asdict(), "threshold": threshold.numpy()}


def _onnxruntime(job: Job) -> OnnxRuntimeCuda:
    kind = OnnxRuntimeCuda if job.device == "cuda" else OnnxRuntimeHere
    return kind(open_bundle(job.bundle), precision=job.precision)  # type: ignore[arg-type]


def _autocast(job: Job) -> Any:
    # Without this PyTorch multiplies in TF32 inside convolutions, which is not float32.
    torch.backends.cudnn.allow_tf32 = False
    return torch.autocast(job.device, torch.float16) if job.precision == "fp16" else nullcontext()


def _repeat(function: Callable[[], object], device: str, seconds: float) -> tuple[float, int]:
    function()
    _wait(device)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or not count:
        function()
        count += 1
        if count % 10 == 0:
            _wait(device)
    _wait(device)
    return time.perf_counter() - begin, count


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _peak_mb(job: Job) -> float | None:
    if job.device != "cuda" or not job.contender.startswith("pytorch"):
        return None
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)
