"""Inspect frames with a bundle: the use from Python.

with Inspector.load("bundle", budget_ms=50) as inspector:
    verdict = inspector.inspect(cv2.imread("part.png", cv2.IMREAD_UNCHANGED))
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from ganspect.bundle import Bundle, Check, open_bundle
from ganspect.preprocess import Frame, Maps, TileGrid, Tiles, stitch, to_tiles
from ganspect.records import Mode, Precision
from ganspect.runtime.backends import Backend, find_engine, open_backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.finding import Finding, Prepared, encoder_findings, groups, lengths_of, search_finding, since_ms
from ganspect.runtime.options import check_options, mode_of, require_counted, threshold_of
from ganspect.runtime.pace import Deadline
from ganspect.runtime.regions import Region, find_regions, frame_level, least_area_px, tile_level
from ganspect.runtime.rows import Array
from ganspect.runtime.scale import score_scale
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.searched import Outcome, StartScores, slices
from ganspect.runtime.upcoming import Upcoming
from ganspect.runtime.verdict import Verdict
from ganspect.runtime.verification.choice import AUTO, open_verified

_SIZES_KEPT = 16
"""Frame sizes whose level of normal residuals is kept: cameras of several sizes take turns."""

_VERDICTS: dict[Outcome, Literal["normal", "anomalous", "undecided"]] = {
    "cleared": "normal",
    "complete": "anomalous",
    "budget": "undecided",
}


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
        self._raw_threshold = threshold_of(bundle, self.calibration, mode).value
        self._scale = score_scale(bundle, mode)
        self.threshold = self._scale.of(self._raw_threshold)
        self.steps = steps or self.calibration.steps
        require_counted(self.steps, bundle.manifest.search.burn_in)
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
        mode: Mode | None = None,
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
            mode: the latent search, or the encoder's score alone; None: the bundle's own.
            backend: what runs the graphs; `auto`: the fastest one that `ganspect verify` has passed here.
            precision: of the convolutions; None: fp32, with `auto` any.
            steps: iterations at most; None: the calibration's. With others the false-alarm rate is not the calibrated.
            budget_ms: time for a frame, from the start of preprocessing; then the search stops, and a frame that
                has not cleared is `undecided`. None: no limit. A bundle whose own mode is the encoder's has no search,
                and takes no notice of it unless `mode` asks for one.
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
        bundle = open_bundle(Path(folder), check=check)
        bundle.require_calibration()
        if mode is None and bundle.manifest.mode == "encoder":
            budget_ms = None  # there is no search that it could end
        mode = mode_of(bundle, mode, steps)
        check_options(mode, steps, budget_ms)
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
        return self.inspect_many([frame])[0]

    def inspect_many(self, frames: Sequence[Frame]) -> list[Verdict]:
        """Judge several frames at once: their tiles share the graphs' calls, and nothing else.

        Each verdict is the one that the frame gets alone; see `judge` for when it is there, and for time budgets.

        Args:
            frames: each as `inspect` takes it; their sizes may differ.

        Raises:
            ImageError: a frame is none that the model takes; then no frame is judged.
        """
        verdicts = dict(self.judge([self.prepare(frame) for frame in frames]) if len(frames) else ())
        return [verdicts[index] for index in range(len(frames))]

    def prepare(self, frame: Frame) -> Prepared:
        """Cut a frame into tiles, for `judge`; its time begins here. Raises what `inspect` raises."""
        begin_ns = time.perf_counter_ns()
        tiles = to_tiles(frame, self.grid)
        return Prepared(tiles, begin_ns, since_ms(begin_ns))

    def judge(self, frames: Sequence[Prepared]) -> Iterator[tuple[int, Verdict]]:
        """Judge frames together; yields the index of a frame and its verdict as soon as that is known.

        What the encoder's start clears comes first, then each frame when its own search is through. Under a budget
        frames share a search only where the whole of it is expected to fit, so that no frame is `undecided` that alone
        would be decided; else they are searched one after the other, and the time of one that waits stands still. Only
        a machine that becomes slower in the middle of a shared search, or that takes longer for several rows at once
        than for each in turn, can end a frame that alone had been in time.

        Args:
            frames: from `prepare`, one or more.
        """
        self._switch()
        images = np.concatenate([frame.tiles.images for frame in frames])
        score_begin_ns = time.perf_counter_ns()
        start = self._search.score(images)
        score_ms = since_ms(score_begin_ns) if start is not None else 0.0
        found = self._searched(frames, images, start, score_ms)
        if self.mode == "encoder" and start is not None:
            found = encoder_findings(start, lengths_of(frames), self._raw_threshold, score_ms)
        for index, finding in found:
            yield index, self._verdict(frames[index], finding, len(frames))

    @property
    def search(self) -> LatentSearch:
        """Return what runs the graphs, to time or to warm up."""
        return self._search

    def heat_scale(self) -> float:
        """Return the residual to draw in the hottest colour: twice the highest level of normal tiles."""
        twice = 2 * float(self._tile_level.max())
        return twice if self.bundle.manifest.scores.weighing else min(1.0, twice)

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

    def _searched(
        self, frames: Sequence[Prepared], images: Array, start: StartScores | None, score_ms: float
    ) -> Iterator[tuple[int, Finding]]:
        """Search all frames, those together whose search fits into their time."""
        lengths, parts = lengths_of(frames), slices(lengths_of(frames))
        cleared = self._search.clear_at_start(start, len(images), self._raw_threshold)
        pending = [int((~cleared[part]).sum()) for part in parts]

        def left_ms(chosen: Sequence[int]) -> float:
            share = sum(lengths[index] for index in chosen) / len(images)
            spent_ms = sum(frames[index].preprocess_ms for index in chosen) + share * score_ms
            # What follows the search takes about what it took for the frame before.
            return (self._budget_ms or 0.0) - spent_ms - len(chosen) * self._after_search_ms

        def fits(chosen: Sequence[int]) -> bool:
            tiles = sum(pending[index] for index in chosen)
            return self._budget_ms is None or self._search.fits(tiles, self.steps, available_ms=left_ms(chosen))

        for chosen in groups(sorted(range(len(frames)), key=lambda index: pending[index] > 0), fits):
            begin_ns = time.perf_counter_ns()
            deadline = None if self._budget_ms is None else Deadline(begin_ns, left_ms(chosen))
            tiles = np.concatenate([np.arange(parts[index].start, parts[index].stop) for index in chosen])
            for place, found in self._search.screen_frames(
                images[tiles],
                None if start is None else start.part(tiles),
                [lengths[index] for index in chosen],
                threshold=self._raw_threshold,
                steps=self.steps,
                deadline=deadline,
            ):
                yield chosen[place], search_finding(found, score_ms, since_ms(begin_ns))

    def _verdict(self, frame: Prepared, finding: Finding, together: int) -> Verdict:
        found_ns = time.perf_counter_ns()
        heat_map = stitch(finding.residual, frame.tiles)
        verdict = _VERDICTS[finding.outcome]
        regions = () if verdict == "normal" else self._regions(heat_map, frame.tiles)
        self._after_search_ms = max(since_ms(found_ns), self._after_search_ms / 2)
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
                "preprocess": frame.preprocess_ms,
                "score": finding.score_ms,
                "search": finding.search_ms,
                "total": since_ms(frame.begin_ns),
            },
            together=together,
        )

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
