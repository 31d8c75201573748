"""Inspect frames with a bundle: the use from Python.

with Inspector.load("bundle", budget_ms=50) as inspector:
    verdict = inspector.inspect(cv2.imread("part.png", cv2.IMREAD_UNCHANGED))
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from ganspect.bundle import Bundle, Check, open_bundle
from ganspect.errors import ConfigError
from ganspect.preprocess import Frame, Maps, TileGrid, Tiles, stitch, to_tiles
from ganspect.records import CalibrationRecord, Mode, Precision, Threshold
from ganspect.runtime.backends import Backend, find_engine, open_backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.pace import Deadline
from ganspect.runtime.regions import Region, find_regions, frame_level, least_area_px, tile_level
from ganspect.runtime.rows import Array
from ganspect.runtime.scale import score_scale
from ganspect.runtime.search import LatentSearch, Outcome, SearchedTiles, StartScores
from ganspect.runtime.upcoming import Upcoming
from ganspect.runtime.verdict import Verdict
from ganspect.runtime.verification.choice import AUTO, open_verified
from ganspect.sections import nearest

_SIZES_KEPT = 16
"""Frame sizes whose level of normal residuals is kept: cameras of several sizes take turns."""

_MODES = ("search", "encoder")
_VERDICTS: dict[Outcome, Literal["normal", "anomalous", "undecided"]] = {
    "cleared": "normal",
    "complete": "anomalous",
    "budget": "undecided",
}


@dataclass(frozen=True)
class _Finding:
    """A frame's tiles as judged in one mode: outcome of the frame, score of each tile, residual of each tile."""

    outcome: Outcome
    score: Array
    residual: Array
    steps: int
    start_score: float | None
    score_ms: float
    search_ms: float


class Inspector:
    """A calibrated bundle on a backend, ready to judge frames one by one.

    Attributes:
        bundle: what is run.
        mode: `search` or `encoder`.
        threshold: T of this mode's score, as verdicts report it.
        steps: K, iterations of the search at most.
        calibration: the one in force.
        grid: how frames become tiles.
        backend: what runs the graphs; closed with the inspector.
        upcoming: what will run them, while it opens in the background.
    """

    def __init__(
        self, bundle: Bundle, backend: Backend, *, mode: Mode, steps: int | None = None, budget_ms: float | None = None
    ) -> None:
        """Prepare and warm up; `Inspector.load` opens the bundle and the backend too, and says what is raised."""
        self.bundle = bundle
        self.mode = mode
        self.calibration = bundle.require_calibration()
        self._raw_threshold = _threshold(bundle, self.calibration, mode).value
        self._scale = score_scale(bundle, mode)
        self.threshold = self._scale.of(self._raw_threshold)
        self.steps = steps or self.calibration.steps
        _require_counted(self.steps, bundle.manifest.search.burn_in)
        self.grid = tile_grid(bundle)
        self.backend = backend
        self.upcoming: Upcoming | None = None
        self._budget_ms = budget_ms
        self._after_search_ms = 0.0
        self._search = LatentSearch(bundle, backend)
        self._tile_level = tile_level(bundle.pixel_statistics())
        self._levels: dict[tuple[int, int], Maps] = {}
        self._search.warm_up(search=mode == "search")

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        mode: Mode = "search",
        backend: str = "onnxruntime",
        precision: Precision | None = None,
        steps: int | None = None,
        budget_ms: float | None = None,
        tuning: Tuning = LATENCY,
        meanwhile: str | None = None,
        check: Check | None = None,
    ) -> "Inspector":
        """Open a bundle, load its graphs and run each once.

        Args:
            folder: the bundle.
            mode: the latent search, or the encoder's score alone.
            backend: what runs the graphs; `auto`: the fastest one that `ganspect verify` has passed here.
            precision: of the convolutions; None: fp32, with `auto` any.
            steps: iterations at most; None: the calibration's. With others the false-alarm rate is not the calibrated.
            budget_ms: time for a frame, from the start of preprocessing; then the search stops, and a frame that
                has not cleared is `undecided`. None: no limit.
            tuning: how the CPU is used.
            meanwhile: a backend that runs the graphs in fp32 until `backend` is ready, which opens in the background:
                TensorRT may build engines for minutes. None: wait for it.
            check: decides whether the bundle is to be trusted; see `open_bundle`.

        Raises:
            BundleError: the bundle is damaged, or has no encoder in encoder mode.
            CalibrationError: it was never calibrated, or reports min-max scaled scores and has no range for that.
            ConfigError: an impossible mode, backend, precision, number of steps or budget.
            DeviceError: the backend's device is not there.
            MissingDependencyError: the backend's package is not installed.
        """
        _check_options(mode, steps, budget_ms)
        bundle = open_bundle(Path(folder), check=check)
        bundle.require_calibration()

        if backend != AUTO:
            find_engine(backend)

        def open_asked() -> Backend:
            return open_verified(backend, bundle, mode=mode, tuning=tuning, precision=precision)

        opened = open_asked() if meanwhile is None else open_backend(meanwhile, bundle, tuning=tuning)
        try:
            inspector = cls(bundle, opened, mode=mode, steps=steps, budget_ms=budget_ms)
        except BaseException:
            opened.close()
            raise
        if meanwhile is not None:
            inspector.upcoming = Upcoming(lambda: _warm_search(bundle, open_asked(), mode), backend)
        return inspector

    def inspect(self, frame: Frame) -> Verdict:
        """Judge one frame.

        Args:
            frame: (H,W) grey or (H,W,3) BGR of any size; uint8, or uint16 where the model's `bits` are 12 or 16.

        Raises:
            ImageError: other dimensions, channels or dtype than these, or values beyond the model's bits.
        """
        self._switch()
        begin_ns = time.perf_counter_ns()
        tiles = to_tiles(frame, self.grid)
        preprocess_ms = _since_ms(begin_ns)
        finding = self._judge(tiles, begin_ns)
        found_ns = time.perf_counter_ns()
        heat_map = stitch(finding.residual, tiles)
        verdict = _VERDICTS[finding.outcome]
        regions = () if verdict == "normal" else self._regions(heat_map, tiles)
        self._after_search_ms = max(_since_ms(found_ns), self._after_search_ms / 2)
        return Verdict(
            verdict=verdict,
            anomalous=verdict != "normal",
            score=self._scale.of(float(finding.score.max())),
            start_score=None if finding.start_score is None else self._scale.of(finding.start_score),
            threshold=self.threshold,
            outcome="complete" if self.mode == "encoder" else finding.outcome,
            steps=finding.steps,
            heat_map=heat_map,
            regions=regions,
            latency_ms={
                "preprocess": preprocess_ms,
                "score": finding.score_ms,
                "search": finding.search_ms,
                "total": _since_ms(begin_ns),
            },
        )

    def heat_scale(self) -> float:
        """Return the residual to draw in the hottest colour: twice the highest level of normal tiles."""
        return min(1.0, 2 * float(self._tile_level.max()))

    def close(self) -> None:
        """Free the graphs; one that is still opening in the background is waited for."""
        if self.upcoming is not None:
            self.upcoming.close()
        self.backend.close()

    def __enter__(self) -> "Inspector":
        """Return the inspector."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the graphs."""
        self.close()

    def _switch(self) -> None:
        ready = None if self.upcoming is None else self.upcoming.take()
        if ready is not None:
            self.backend.close()
            self.backend, self._search, self.upcoming = ready.backend, ready, None

    def _judge(self, tiles: Tiles, begin_ns: int) -> _Finding:
        score_begin_ns = time.perf_counter_ns()
        start = self._search.score(tiles.images)
        score_ms = _since_ms(score_begin_ns) if start is not None else 0.0
        if self.mode == "encoder" and start is not None:
            return _encoder_finding(start, self._raw_threshold, score_ms)
        search_begin_ns = time.perf_counter_ns()
        # What follows the search takes about what it took for the frame before.
        deadline = None if self._budget_ms is None else Deadline(begin_ns, self._budget_ms - self._after_search_ms)
        found = self._search.screen(
            tiles.images, start, threshold=self._raw_threshold, steps=self.steps, deadline=deadline
        )
        return _search_finding(start, found, score_ms, _since_ms(search_begin_ns))

    def _regions(self, heat_map: Maps, tiles: Tiles) -> tuple[Region, ...]:
        level = self._levels.get(tiles.frame_hw)
        if level is None:
            if len(self._levels) >= _SIZES_KEPT:
                self._levels.clear()
            level = self._levels[tiles.frame_hw] = frame_level(self._tile_level, tiles)
        return find_regions(heat_map, level, least_area_px=least_area_px(tiles))


def tile_grid(bundle: Bundle) -> TileGrid:
    """Return how frames become a bundle's tiles."""
    image = bundle.manifest.image
    return TileGrid(image.size_hw, image.channels, image.bits, image.fit, image.overlap)


def _warm_search(bundle: Bundle, backend: Backend, mode: Mode) -> LatentSearch:
    try:
        search = LatentSearch(bundle, backend)
        search.warm_up(search=mode == "search")
    except BaseException:
        backend.close()
        raise
    return search


def _check_options(mode: str, steps: int | None, budget_ms: float | None) -> None:
    if mode not in _MODES:
        raise ConfigError(f"unknown mode {mode!r}; {nearest(mode, list(_MODES))}")
    if steps is not None and steps < 1:
        raise ConfigError(f"{steps} steps were asked for; give 1 or more, or leave it out for the calibration's")
    if budget_ms is not None and not 0 <= budget_ms < math.inf:
        raise ConfigError(f"a budget of {budget_ms} ms was asked for; give 0 or more, or leave it out for no limit")
    if mode == "encoder" and (steps is not None or budget_ms is not None):
        raise ConfigError(
            "steps and budget limit the search, which encoder mode has not; leave them out, or use search"
        )


def _require_counted(steps: int, burn_in: int) -> None:
    if steps <= burn_in:
        raise ConfigError(
            f"{steps} steps were asked for, but this bundle's scores count after {burn_in}; give {burn_in + 1} or more"
        )


def _threshold(bundle: Bundle, calibration: CalibrationRecord, mode: Mode) -> Threshold:
    if mode == "search":
        return calibration.search
    if calibration.encoder is None:
        raise ConfigError(
            f"{bundle.folder} has no encoder ({bundle.manifest.system}), so no encoder mode; use --mode search"
        )
    return calibration.encoder


def _encoder_finding(start: StartScores, threshold: float, score_ms: float) -> _Finding:
    score = np.where(np.isnan(start.encoder_score), np.float32(np.inf), start.encoder_score)
    outcome: Outcome = "cleared" if bool(np.all(score <= np.float32(threshold))) else "complete"
    return _Finding(outcome, score, start.residual, 0, None, score_ms, 0.0)


def _search_finding(start: StartScores | None, found: SearchedTiles, score_ms: float, search_ms: float) -> _Finding:
    if "budget" in found.outcome:
        outcome: Outcome = "budget"
    else:
        outcome = "complete" if "complete" in found.outcome else "cleared"
    start_score = None if start is None else float(start.start_score.max())
    return _Finding(outcome, found.score, found.residual, int(found.steps.max()), start_score, score_ms, search_ms)


def _since_ms(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) / 1e6
