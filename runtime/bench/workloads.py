"""What each mode runs on a bundle and a backend; inputs are made before the clock starts.

session = BundleSession(bundle, backend, pool)
print(session.repetition(Measurement("search", 16, 20))())
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ganspect.bundle import Bundle
from ganspect.runtime.backends import Arrays, Backend
from ganspect.runtime.bench.measurement import STEP_SPAN, Measurement, Repetition, Sample
from ganspect.runtime.bench.pool import Images, Pool
from ganspect.runtime.bench.protocol import Message
from ganspect.runtime.guard import Guarded
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.rows import Array, Rows
from ganspect.runtime.search import LatentSearch

_NO_EXIT = np.asarray(-np.inf, np.float32)


class BundleSession:
    """A bundle on a backend, ready to be timed."""

    def __init__(self, bundle: Bundle, backend: Backend, pool: Pool) -> None:
        """Take what `open_bundle` and `open_backend` gave, and the images."""
        self._bundle = bundle
        self._backend = backend
        self._pool = pool
        self._search = LatentSearch(bundle, backend)

    def describe(self) -> Message:
        """Return what runs, for the record."""
        backend = self._backend
        return {
            "backend": backend.name,
            "precision": backend.precision,
            "version": backend.version,
            "device": backend.device,
            "guarded": isinstance(backend, Guarded),
            "modes": [mode for mode, make in self._makers().items() if make is not None],
        }

    def repetition(self, measurement: Measurement) -> Repetition:
        """Return what runs a measurement once."""
        make = self._makers()[measurement.mode]
        if make is None:
            raise ValueError(f"{measurement.mode} cannot be measured here")
        return make(measurement)

    def best_scores(self, steps: int) -> list[float]:
        """Return the best score of each compared tile after K iterations, exit off."""
        scores: list[float] = self._search.full(self._pool.compared(), steps=steps).score.tolist()
        return scores

    def floor(self) -> Message:
        """Return nothing: this is measured beside PyTorch."""
        return {}

    def _makers(self) -> Mapping[str, Callable[[Measurement], Repetition] | None]:
        anomalous = self._pool.anomalous
        return {
            "encoder": self._encoder if self._search.has_encoder else None,
            "search_step": self._search_step,
            "search": self._whole_search,
            "search_exit": lambda measurement: self._search_exit(measurement, self._pool.usual),
            "search_exit_anomalous": (lambda measurement: self._search_exit(measurement, anomalous))
            if anomalous
            else None,
            "frame": lambda measurement: self._frame(measurement, self._pool.usual),
            "frame_anomalous": (lambda measurement: self._frame(measurement, anomalous)) if anomalous else None,
        }

    def _encoder(self, measurement: Measurement) -> Repetition:
        inputs = {"image": self._pool.usual.batch(measurement.batch), **self._bundle.pixel_inputs("score")}
        return lambda: Sample(self._timed("score", inputs), 0.0)

    def _whole_search(self, measurement: Measurement) -> Repetition:
        inputs = self._search_inputs(measurement.batch, measurement.steps)
        return lambda: Sample(self._timed("search", inputs), float(measurement.steps))

    def _search_step(self, measurement: Measurement) -> Repetition:
        short, long = (self._search_inputs(measurement.batch, count) for count in (1, 1 + STEP_SPAN))
        turns = itertools.cycle((False, True))

        def repeat() -> Sample:
            # Long and short first by turns, so that what drifts does not favour one.
            order = (long, short) if next(turns) else (short, long)
            taken = {id(inputs): self._timed("search", inputs) for inputs in order}
            return Sample((taken[id(long)] - taken[id(short)]) / STEP_SPAN, 1.0)

        return repeat

    def _search_exit(self, measurement: Measurement, images: Images) -> Repetition:
        threshold = self._bundle.require_calibration().search.value
        batches = _batches(images, measurement.batch)

        def repeat() -> Sample:
            tiles = next(batches)
            begin_ns = time.perf_counter_ns()
            start = self._search.score(tiles)
            found = self._search.screen(tiles, start, threshold=threshold, steps=measurement.steps)
            return Sample(_since_ms(begin_ns), float(found.steps.mean()))

        return repeat

    def _frame(self, measurement: Measurement, images: Images) -> Repetition:
        inspector = Inspector(self._bundle, self._backend, mode="search", steps=measurement.steps)
        frames = itertools.cycle(images.frames)

        def repeat() -> Sample:
            frame = next(frames)
            begin_ns = time.perf_counter_ns()
            verdict = inspector.inspect(frame)
            return Sample(_since_ms(begin_ns), float(verdict.steps))

        return repeat

    def _search_inputs(self, batch: int, steps: int) -> Arrays:
        tiles = self._pool.usual.batch(batch)
        starts = self._search.starts(batch, self._search.score(tiles))
        rows = Rows(tiles, starts).take(np.arange(batch))
        return {
            **rows,
            "steps": np.asarray(steps, np.int64),
            "threshold": _NO_EXIT,
            **self._bundle.pixel_inputs("search"),
        }

    def _timed(self, graph: str, inputs: Arrays) -> float:
        begin_ns = time.perf_counter_ns()
        self._backend.run(graph, inputs)
        return _since_ms(begin_ns)


def _batches(images: Images, count: int) -> Iterator[Array]:
    first = 0
    while True:
        yield np.ascontiguousarray(images.batch(count, first))
        first = (first + count) % len(images.tiles)


def _since_ms(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) / 1e6
