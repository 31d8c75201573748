"""The process that times a bundle's search in PyTorch, eager or compiled, on the run that it was exported from.

    echo '{"do": "open", ...}' | python -m ganspect.export.bench_reference

See `ganspect.export.lean_search` for how it is written; `pytorch-compiled` puts the whole iteration through
torch.compile, shapes fixed.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import RunError
from ganspect.export.floor import matrix_gflop_per_s, step_gflop
from ganspect.export.formulas import to_image
from ganspect.export.lean_search import LeanSearch, Prepared, formulas_of
from ganspect.export.reference import initial_state
from ganspect.runtime.bench.measurement import STEP_SPAN, Measurement, Repetition, Sample
from ganspect.runtime.bench.pool import Pool
from ganspect.runtime.bench.protocol import Message, reserve_stdout
from ganspect.runtime.bench.serving import leave_interrupts_to_the_parent, serve
from ganspect.runtime.rows import start_latents
from ganspect.train.latents import LatentLayout
from ganspect.train.run import Run, load_run

_MODES = ("encoder", "search_step", "search")


class ReferenceSession:
    """A run's networks under a bundle's search, ready to be timed."""

    def __init__(self, run: Run, bundle: Bundle, pool: Pool, *, compiled: bool) -> None:
        """Take what `load_run` and `open_bundle` gave, and the images."""
        self._bundle = bundle
        self._pool = pool
        self._compiled = compiled
        self._search = LeanSearch(formulas_of(run.system, bundle), compiled=compiled)
        scores = self._search.scores
        self._scores: Callable[..., tuple[Tensor, ...]] = torch.compile(scores, dynamic=False) if compiled else scores
        self._has_encoder = run.system.encoder is not None

    def describe(self) -> Message:
        """Return what runs, for the record."""
        return {
            "backend": "pytorch-compiled" if self._compiled else "pytorch-eager",
            "precision": "fp32",
            "version": torch.__version__,
            "device": "CPU",
            "guarded": False,
            "threads": torch.get_num_threads(),
            "modes": [mode for mode in _MODES if mode != "encoder" or self._has_encoder],
        }

    def repetition(self, measurement: Measurement) -> Repetition:
        """Return what runs a measurement once."""
        image, latent, pixels = self._inputs(measurement.batch)
        if measurement.mode == "encoder":
            return self._encoder(measurement.batch)
        if measurement.mode == "search":
            return _timed(lambda: self._search.run(image, latent, measurement.steps, pixels), measurement.steps)
        return self._search_step(self._search.prepare(image, pixels), latent)

    def best_scores(self, steps: int) -> list[float]:
        """Return the best score of each compared tile after K iterations, exit off."""
        image, latent, pixels = self._rows(self._pool.compared())
        best = LeanSearch(self._search.formulas).run(image, latent, steps, pixels).best_score
        scores: list[float] = best.reshape(-1, self._bundle.manifest.search.restarts).amin(1).tolist()
        return scores

    def floor(self) -> Message:
        """Return the work of one iteration at batch 1, and the rate of matrix products on all cores."""
        image, latent, pixels = self._inputs(1)
        prepared, state = self._search.prepare(image, pixels), initial_state(latent)
        return {
            "gflop": step_gflop(lambda: LeanSearch(self._search.formulas).iteration(prepared, state)),
            "gflop_per_s": {
                "fp32": matrix_gflop_per_s(torch.float32),
                "bf16": matrix_gflop_per_s(torch.bfloat16),
            },
        }

    def _encoder(self, batch: int) -> Repetition:
        image = torch.from_numpy(self._pool.usual.batch(batch))
        pixels = _tensors(self._bundle.pixel_inputs("score"))

        def score() -> None:
            with torch.inference_mode():
                self._scores(image, *pixels)

        return _timed(score, 0)

    def _search_step(self, prepared: Prepared, latent: Tensor) -> Repetition:
        turns = itertools.cycle((False, True))

        def take(steps: int) -> float:
            state, begin_ns = initial_state(latent), time.perf_counter_ns()
            for _ in range(steps):
                state = self._search.iteration(prepared, state)
            return (time.perf_counter_ns() - begin_ns) / 1e6

        def repeat() -> Sample:
            order = (1 + STEP_SPAN, 1) if next(turns) else (1, 1 + STEP_SPAN)
            taken_ms = {steps: take(steps) for steps in order}
            return Sample((taken_ms[1 + STEP_SPAN] - taken_ms[1]) / STEP_SPAN, 1.0)

        return repeat

    def _inputs(self, batch: int) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        return self._rows(self._pool.usual.batch(batch))

    def _rows(self, tiles: np.ndarray[Any, np.dtype[Any]]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return images and start latents, a row for each restart of each tile, and the pixel maps of the search."""
        image, system = torch.from_numpy(tiles), self._search.formulas.system
        with torch.inference_mode():
            encoded = system.encode(system.represent(to_image(image))).numpy() if self._has_encoder else None
        restarts = self._bundle.manifest.search.restarts
        starts = start_latents(self._bundle.starts(), restarts, len(tiles), encoded)
        rows = image.repeat_interleave(starts.shape[1], dim=0)
        latent = torch.from_numpy(starts.reshape(-1, starts.shape[2]).copy())
        return rows, latent, _tensors(self._bundle.pixel_inputs("search"))


def require_same_model(run: Run, bundle: Bundle) -> None:
    """Refuse a run that the bundle cannot come from.

    Raises:
        RunError: another system, input or latent.
    """
    manifest, recipe = bundle.manifest, run.recipe
    kinds = {
        "system": (recipe.system, manifest.system),
        "image size": (_size(recipe.image.size_hw), _size(manifest.image.size_hw)),
        "channels": (recipe.image.channels, manifest.image.channels),
        "latent size": (LatentLayout.of(recipe).size, manifest.latent.size),
        "network width": (recipe.network.width, manifest.recipe["network"]["width"]),
    }
    for what, (given, expected) in kinds.items():
        if given != expected:
            raise RunError(
                f"{run.folder} has {what} {given}, {bundle.folder} has {expected}; give the run that the bundle was "
                "exported from"
            )


def open_reference(request: Mapping[str, Any]) -> ReferenceSession:
    """Open a run beside the bundle that comes from it, on as many threads as the bundle's backends have."""
    torch.set_num_threads(request["threads"] or len(os.sched_getaffinity(0)))
    bundle, run = open_bundle(Path(request["bundle"])), load_run(Path(request["run"]))
    require_same_model(run, bundle)
    return ReferenceSession(run, bundle, Pool.load(Path(request["pool"]), bundle), compiled=bool(request["compiled"]))


def main() -> None:
    """Answer the parent's requests until it closes the pipe."""
    leave_interrupts_to_the_parent()
    serve(sys.stdin, reserve_stdout(), open_reference)


def _timed(call: Callable[[], object], iterations: int) -> Repetition:
    def repeat() -> Sample:
        begin_ns = time.perf_counter_ns()
        call()
        return Sample((time.perf_counter_ns() - begin_ns) / 1e6, float(iterations))

    return repeat


def _tensors(maps: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(values) for values in maps.values())


def _size(size_hw: tuple[int, int]) -> str:
    return "x".join(map(str, size_hw))


if __name__ == "__main__":
    main()
