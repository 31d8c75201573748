"""Does the early exit change a verdict, and how many iterations does it save?

    python benchmarks/early_exit.py demo/bundle elpv:mono --out benchmarks/results

A part is normal if the best score of its search is at or under the threshold T. That best score can only fall, so a
search may stop as soon as it is at or under T: the verdict stands. Rows of one batch do not see each other, and a done
row is frozen, so the rows that go on must compute, bit for bit, what they compute without an exit. This script runs the
test images through the same search graph, in the same batches, with T and with -infinity, and compares: best scores
and latents of all rows that did not clear must have identical bits, and all verdicts must be the same. Only the size
of a batch may change last digits, for it changes the order of sums inside matrix products; verdicts that this flips
are counted. Last, the iterations taken as deployed are set against K.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganspect import __version__
from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import GanspectError
from ganspect.files import require_writable, write_json
from ganspect.progress import progress_bar
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.evaluation.labelled import open_test_data, read_labelled
from ganspect.runtime.evaluation.passes import largest_of_frames
from ganspect.runtime.machine import machine
from ganspect.runtime.rows import Array, Rows
from ganspect.runtime.search import LatentSearch

BATCHES = (1, 5, 16)
EQUAL_BATCH = 16


@dataclass(frozen=True)
class Parts:
    """The test images as the search takes them.

    Attributes:
        tiles: (T,h,w,C) uint8 of all frames, one after the other.
        lengths: tiles of each frame.
        labels: (n,) of each frame, 0 normal, 1 anomalous.
    """

    tiles: Array
    lengths: list[int]
    labels: Array


@dataclass(frozen=True)
class EqualBatch:
    """The search graph with threshold T against -infinity, on the same batches of rows.

    Attributes:
        batch: tiles in one call.
        tiles: compared.
        cleared: tiles that T stopped early.
        identical: of the others, those whose best score and latent have the same bits.
        verdicts_differ: tiles that are normal with one and anomalous with the other.
        steps_with_exit: iterations that the calls took in all, by tile.
    """

    batch: int
    tiles: int
    cleared: int
    identical: int
    verdicts_differ: int
    steps_with_exit: int

    @property
    def same(self) -> bool:
        """Return whether nothing that a verdict rests on changed."""
        return self.verdicts_differ == 0 and self.identical == self.tiles - self.cleared


def compare_at_equal_batch(
    backend: Backend, tiles: Array, starts: Array, *, threshold: float, steps: int, maps: dict[str, Array], batch: int
) -> EqualBatch:
    """Run one call of the search graph for each batch, with and without exit, and compare bits.

    Args:
        backend: opened on the bundle.
        tiles: (T,h,w,C) uint8.
        starts: (T,R,D) float32 start latents.
        threshold: T.
        steps: K.
        maps: pixel statistics where the deployed score needs them.
        batch: tiles in one call.
    """
    rows = {limit: Rows(tiles, starts) for limit in (threshold, -np.inf)}
    for limit, searched in rows.items():
        for chosen in _batches(len(tiles), batch):
            options: dict[str, Array] = {
                "steps": np.asarray(steps, np.int64),
                "threshold": np.asarray(limit, np.float32),
                **maps,
            }
            searched.put(chosen, backend.run("search", {**searched.take(chosen), **options}))
    early, full = rows[threshold], rows[-np.inf]
    limit = np.float32(threshold)
    cleared = early.score <= limit
    same_bits = (_bits(early.score) == _bits(full.score)) & (_bits(early.latent) == _bits(full.latent)).all(1)
    return EqualBatch(
        batch=batch,
        tiles=len(tiles),
        cleared=int(cleared.sum()),
        identical=int((same_bits & ~cleared).sum()),
        verdicts_differ=int((cleared != (full.score <= limit)).sum()),
        steps_with_exit=int(early.searched.sum()),
    )


def measure(bundle: Bundle, backend: Backend, parts: Parts) -> dict[str, Any]:
    """Return the whole result as JSON: equal batches, flips across batch sizes, iterations saved."""
    calibration = bundle.require_calibration()
    search, threshold, steps = LatentSearch(bundle, backend), calibration.search.value, calibration.steps
    equal = compare_at_equal_batch(
        backend,
        parts.tiles,
        search.starts(len(parts.tiles), search.score(parts.tiles)),
        threshold=threshold,
        steps=steps,
        maps=bundle.pixel_inputs("search"),
        batch=EQUAL_BATCH,
    )
    runs = {batch: _verdicts(search, parts, threshold, steps, batch) for batch in BATCHES}
    reference = runs[EQUAL_BATCH]["full"]
    flips = [
        {
            "batch": batch,
            "exit_against_full": int((run["exit"] != run["full"]).sum()),
            "full_against_full_at_16": int((run["full"] != reference).sum()),
            "exit_against_full_at_16": int((run["exit"] != reference).sum()),
        }
        for batch, run in runs.items()
    ]
    return {
        "benchmark": "early_exit",
        "images": {"normal": int((parts.labels == 0).sum()), "anomalous": int((parts.labels == 1).sum())},
        "steps": steps,
        "threshold": threshold,
        "equal_batch": {**asdict(equal), "same": equal.same},
        "verdict_flips": flips,
        "iterations": _iterations(runs[1]["steps"], parts.labels, steps),
    }


def _verdicts(search: LatentSearch, parts: Parts, threshold: float, steps: int, batch: int) -> dict[str, Array]:
    """Return verdicts in full and with exit, and the iterations of the latter, frame by frame."""
    full, early, taken = [], [], []
    for chosen in _batches(len(parts.tiles), batch):
        tiles = parts.tiles[chosen]
        full.append(search.full(tiles, steps=steps).score)
        screened = search.screen(tiles, search.score(tiles), threshold=threshold, steps=steps)
        early.append(screened.score)
        taken.append(screened.steps)
    limit = np.float32(threshold)
    return {
        "full": ~(largest_of_frames(np.concatenate(full), parts.lengths) <= limit),
        "exit": ~(largest_of_frames(np.concatenate(early), parts.lengths) <= limit),
        "steps": largest_of_frames(np.concatenate(taken), parts.lengths),
    }


def _iterations(taken: Array, labels: Array, steps: int) -> dict[str, Any]:
    def saved(chosen: Array) -> dict[str, float] | None:
        if not chosen.any():
            return None
        mean = float(taken[chosen].mean())
        return {
            "full": steps,
            "with_exit": mean,
            "times_fewer": steps / mean,
            "one_was_enough": float((taken[chosen] <= 1).mean()),
        }

    return {"normal": saved(labels == 0), "anomalous": saved(labels == 1), "all": saved(labels >= 0)}


def _batches(count: int, size: int) -> Iterator[Array]:
    for first in range(0, count, size):
        yield np.arange(first, min(first + size, count))


def _bits(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def run(bundle_folder: Path, data: str, out: Path, *, backend: str = "onnxruntime", tuning: Tuning = LATENCY) -> bool:
    """Measure a bundle on a data set, write `out`/early_exit.json, print it, and return whether the verdicts hold."""
    require_writable(out)
    bundle = open_bundle(bundle_folder)
    with open_backend(backend, bundle, tuning=tuning) as engine:
        with progress_bar() as progress:
            images = read_labelled(bundle, open_test_data(bundle, data, None), progress)
        frames = [images.tiles(index).images for index in range(len(images.samples))]
        parts = Parts(np.concatenate(frames), [len(tiles) for tiles in frames], images.labels)
        result = measure(bundle, engine, parts)
        backend_version = {"name": engine.name, "version": engine.version}
    described = {"bundle": bundle.manifest.system, "data": data, "score": bundle.manifest.scores.search}
    content = {**described, **result, "environment": {"ganspect": __version__, "backend": backend_version, **machine()}}
    write_json(out / "early_exit.json", content)
    print(json.dumps(content))
    return bool(result["equal_batch"]["same"])


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 if the exit changed anything at equal batch, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Verdicts and iterations with the early exit and without.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("data", nargs="?", default="elpv:mono", metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args(arguments)
    try:
        return 0 if run(given.bundle, given.data, given.out, tuning=Tuning(given.threads)) else 1
    except GanspectError as error:
        print(f"early_exit: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
