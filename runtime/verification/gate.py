"""The gate: the images that backends are compared on, the reference's scores, and the comparison with each backend.

gate = Gate(bundle, seed=0)
result = gate.check("openvino", "bf16")
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ganspect.bundle import Bundle
from ganspect.clock import utc_now
from ganspect.records import Precision, Threshold
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.guard import Guard, Guarded
from ganspect.runtime.rows import Array
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verification.agreement import Agreement, Scores, compare
from ganspect.runtime.verification.nudged import Nudged
from ganspect.runtime.verification.record import Verified, machine_identity
from ganspect.runtime.verification.straddling import straddling_images

RANDOM_IMAGES = 16
_ENDLESS = 1e30
_GUARD_FACTOR = 2.0
"""Width of a guard, in largest differences of scores that were seen near the threshold."""
_TIMED_RUNS = 9
_LEAST_REACH = 0.05
"""Least reach of straddling images, as a share of the threshold."""


@dataclass(frozen=True)
class _Mode:
    """One of the bundle's scores: its threshold, its straddling images, and the reference's two sets of scores."""

    threshold: Threshold
    straddling: Array
    reference: Scores
    nudged: Scores


class Gate:
    """Compares backends with ONNX Runtime on the CPU in float32, running the graphs as they were traced.

    Attributes:
        modes: `search`, and `encoder` where the bundle has one.
    """

    def __init__(self, bundle: Bundle, *, tuning: Tuning = LATENCY, seed: int = 0) -> None:
        """Make the images and score them with the reference.

        Args:
            bundle: a calibrated bundle.
            tuning: how the CPU is used.
            seed: of random images and blobs.

        Raises:
            CalibrationError: it was never calibrated, or its calibration kept no tiles.
        """
        self._bundle = bundle
        self._steps = bundle.require_calibration().steps
        self._tiles = bundle.calibration_tiles()
        random = np.random.default_rng(seed)
        self._random = random.integers(0, 256, (RANDOM_IMAGES, *self._tiles.shape[1:]), dtype=np.uint8)
        with OnnxRuntimeCpu(bundle, tuning=tuning, plain=True) as reference:
            self.modes = {mode: self._reference(mode, reference, random) for mode in _modes(bundle)}

    def check(self, backend: str, precision: Precision, *, flip_limit: float, tuning: Tuning = LATENCY) -> Verified:
        """Compare one backend in one precision.

        Args:
            backend: its name.
            precision: of the convolutions.
            flip_limit: largest allowed share of flips near the threshold.
            tuning: how the CPU is used.

        Raises:
            GanspectError: it cannot be opened; see `open_backend`.
        """
        with self._open(backend, precision, tuning) as opened:
            guard = opened.guard if isinstance(opened, Guarded) else None
            found = {mode: self._compare(mode, data, opened) for mode, data in self.modes.items()}
            search = LatentSearch(self._bundle, opened)
            frame_ms = _least_ms(lambda: search.full(self._tiles[:1], steps=self._steps))
            encoder_ms = _least_ms(lambda: search.score(self._tiles[:1])) if search.has_encoder else None
            identity = {"backend": opened.name, "version": opened.version, "device": opened.device}
        return Verified(
            **identity,
            precision=precision,
            passed=not any(agreement.failures(flip_limit) for agreement in found.values()),
            search=found["search"],
            encoder=found.get("encoder"),
            guard=guard,
            frame_ms=frame_ms,
            encoder_ms=encoder_ms,
            steps=self._steps,
            calibration=self._bundle.require_calibration().created,
            machine=machine_identity(),
            flip_limit=flip_limit,
            graphs_sha256=self._bundle.manifest_sha256,
            created=utc_now(),
        )

    def _open(self, name: str, precision: Precision, tuning: Tuning) -> Backend:
        """Open a backend; a lower precision with a guard that is measured on half of the straddling images."""
        opened = open_backend(name, self._bundle, tuning=tuning, precision=precision)
        if precision == "fp32":
            return opened
        widths = {"search": 0.0, "encoder": 0.0}
        for mode, data in self.modes.items():
            scores = self._score(mode, opened, data.straddling[::2])
            error = np.abs(scores - data.reference.straddling[::2])
            # A score that is no number asks for a guard without end, which is then refused as too wide.
            error = np.nan_to_num(error, nan=_ENDLESS, posinf=_ENDLESS)
            widths[mode] = _GUARD_FACTOR * float(error.max()) if len(error) else 0.0
        return Guarded(opened, open_backend(name, self._bundle, tuning=tuning), Guard(**widths))

    def _compare(self, mode: str, data: _Mode, backend: Backend) -> Agreement:
        """Compare a backend on all images, one in a lower precision on those that its guard was not measured on."""
        chosen = slice(1, None, 2) if isinstance(backend, Guarded) else slice(None)
        given = self._scores(mode, backend, data.straddling[chosen])
        reference, nudged = (
            replace(scores, straddling=scores.straddling[chosen]) for scores in (data.reference, data.nudged)
        )
        guard: float = getattr(backend.guard, mode) if isinstance(backend, Guarded) else 0.0
        return compare(given, reference, nudged, threshold=data.threshold.value, guard=guard)

    def _reference(self, mode: str, backend: Backend, random: np.random.Generator) -> _Mode:
        calibration = self._bundle.require_calibration()
        threshold = calibration.search if mode == "search" else calibration.encoder
        if threshold is None:
            raise ValueError(f"the bundle has no {mode} score")
        normal = self._score(mode, backend, self._tiles)
        reach = max(abs(threshold.value - float(np.median(normal))), _LEAST_REACH * abs(threshold.value))
        images, scores = straddling_images(
            self._tiles,
            lambda tiles: self._score(mode, backend, tiles),
            threshold=threshold.value,
            reach=reach,
            random=random,
        )
        reference = Scores(normal, self._score(mode, backend, self._random), scores)
        return _Mode(threshold, images, reference, self._scores(mode, Nudged(backend), images))

    def _scores(self, mode: str, backend: Backend, straddling: Array) -> Scores:
        return Scores(*(self._score(mode, backend, tiles) for tiles in (self._tiles, self._random, straddling)))

    def _score(self, mode: str, backend: Backend, tiles: Array) -> Array:
        if not len(tiles):
            return np.zeros(0, np.float32)
        search = LatentSearch(self._bundle, backend)
        if mode == "search":
            return search.full(tiles, steps=self._steps).score
        start = search.score(tiles)
        if start is None:
            raise ValueError("the bundle has no encoder")
        return start.encoder_score


def _least_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMED_RUNS):
        begin_ns = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return min(times)


def _modes(bundle: Bundle) -> tuple[str, ...]:
    return ("search",) if bundle.require_calibration().encoder is None else ("search", "encoder")
