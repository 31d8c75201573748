"""The cascade over a set of tiles: what the encoder's start clears is done, the rest goes through the search graph.

    search = LatentSearch(bundle, backend)
    tiles = search.full(images, steps=20)            # calibration, evaluation: no early exit
    tiles = search.screen(images, search.score(images), threshold=0.04, steps=20)

The search runs in chunks, and tiles that are done are dropped between two chunks. A tile's score is the lowest of its
restarts; NaN is never the lowest and never clears.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from ganspect.bundle import Bundle, PixelStatistics
from ganspect.errors import BundleError
from ganspect.runtime.backends import Arrays, Backend
from ganspect.runtime.guard import Guard, Guarded, near, with_exact_starts, with_exact_tiles
from ganspect.runtime.pace import Deadline, Pace
from ganspect.runtime.rows import Array, Rows, start_latents
from ganspect.runtime.searched import SearchedTiles, StartScores, result_of, slices

CHUNK_STEPS = 10
"""Iterations of one call of the search graph: each call also makes one reconstruction, so far fewer would cost."""

_BATCH_ROWS = 64
_BATCH_PIXELS = _BATCH_ROWS * 64 * 64
"""Rows of one call at most, and their pixels: bounds the memory of large tiles."""

_NO_EXIT = np.float32(-np.inf)


class LatentSearch:
    """Runs the score and search graphs of a bundle over any number of tiles.

    Attributes:
        bundle: what is run.
        backend: what runs it.
        has_encoder: whether there is a score graph, and so a start for each image.
    """

    def __init__(self, bundle: Bundle, backend: Backend, *, statistics: PixelStatistics | None = None) -> None:
        """Take the graphs' constant inputs.

        Args:
            bundle: an opened bundle.
            backend: one opened on it.
            statistics: pixel maps for scores that need them; None: those of the calibration in force.

        Raises:
            CalibrationError: the scores need pixel maps, none are given and the bundle has none.
            BundleError: the bundle stores fewer random starts than its search needs.
        """
        self.bundle = bundle
        self.has_encoder = "score" in bundle.manifest.graphs
        self.backend = backend
        self._pace = Pace()
        graphs = ("score", "search") if self.has_encoder else ("search",)
        self._maps = {graph: bundle.pixel_inputs(graph, statistics) for graph in graphs}
        self._random_starts = self._read_starts()
        self._guard = Guard(search=0.0, encoder=0.0)
        self._exact: LatentSearch | None = None
        if isinstance(backend, Guarded):
            self._guard = backend.guard
            self._exact = LatentSearch(bundle, backend.exact, statistics=statistics)

    def score(self, images: Array) -> StartScores | None:
        """Score (T,h,w,C) uint8 tiles at the encoder's latent; None where the bundle has no encoder."""
        start = self._score(images) if self.has_encoder else None
        calibration = self.bundle.calibration
        if start is None or self._exact is None or calibration is None or calibration.encoder is None:
            return start
        tiles = near(start.encoder_score, calibration.encoder.value, self._guard.encoder)
        exact = self._exact.score(images[tiles]) if len(tiles) else None
        return start if exact is None else with_exact_starts(start, tiles, exact)

    def _score(self, images: Array) -> StartScores:
        outputs = [
            self.backend.run("score", {"image": images[tiles], **self._maps["score"]})
            for tiles in self._batches(np.arange(len(images)), restarts=1)
        ]
        return StartScores(**{name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]})

    def full(
        self,
        images: Array,
        *,
        steps: int,
        start: Literal["encoder", "random"] = "encoder",
        checkpoints: Sequence[int] = (),
    ) -> SearchedTiles:
        """Search tiles without early exit, as thresholds and curves are made.

        Args:
            images: (T,h,w,C) uint8.
            steps: K.
            start: `encoder` (with random restarts as the bundle says; all random where it has no encoder) or `random`.
            checkpoints: iteration counts up to K after which the scores are kept in `scores_at`.
        """
        begin = self.score(images) if start == "encoder" else None
        rows = self._rows(images, begin)
        scores_at = {}
        for stop in sorted({*checkpoints, steps}):
            self._run(rows, _NO_EXIT, min(stop, steps))
            scores_at[stop] = rows.score.copy()
        kept = {stop: scores_at[stop] for stop in checkpoints if stop <= steps}
        found = result_of(rows, begin, slice(None), threshold=_NO_EXIT, steps=steps, scores_at=kept)
        if self._exact is None or self.bundle.calibration is None or checkpoints:
            return found
        tiles = near(found.score, self.bundle.calibration.search.value, self._guard.search)
        exact = self._exact.full(images[tiles], steps=steps, start=start) if len(tiles) else None
        return found if exact is None else with_exact_tiles(found, tiles, exact)

    def screen(
        self,
        images: Array,
        start: StartScores | None,
        *,
        threshold: float,
        steps: int,
        deadline: Deadline | None = None,
    ) -> SearchedTiles:
        """Search tiles until each is at or under the threshold, or has had its iterations, or time is over.

        The verdicts are those of `full` unless the time ends it. Without an encoder the first iteration is always
        taken, since there is no score before it.

        Args:
            images: (T,h,w,C) uint8.
            start: what `score` returned for them.
            threshold: T of the search score.
            steps: K.
            deadline: end of the frame's time; None: no limit.
        """
        frames = self.screen_frames(images, start, [len(images)], threshold=threshold, steps=steps, deadline=deadline)
        return next(found for _, found in frames)

    def screen_frames(
        self,
        images: Array,
        start: StartScores | None,
        lengths: Sequence[int],
        *,
        threshold: float,
        steps: int,
        deadline: Deadline | None = None,
    ) -> Iterator[tuple[int, SearchedTiles]]:
        """Search the tiles of several frames together; yields a frame, by its index, as soon as its tiles are through.

        What is found for a frame does not depend on the others: rows that are done are frozen.

        Args:
            images: (T,h,w,C) uint8, the frames' tiles one after the other.
            start: what `score` returned for them.
            lengths: tiles of each frame.
            threshold: T of the search score.
            steps: K.
            deadline: end of the time that they share; None: no limit.
        """
        limit = np.float32(threshold - self._guard.search)
        rows = self._rows(images, start)
        waiting = dict(enumerate(slices(lengths)))
        goes_on = True
        while waiting:
            pending = rows.pending(limit, steps)
            for index, part in list(waiting.items()):
                if not goes_on or not ((pending >= part.start) & (pending < part.stop)).any():
                    del waiting[index]
                    yield index, self._decided(rows, start, part, threshold, steps, deadline)
            goes_on = self._advance_all(rows, limit, steps, deadline)

    def clear_at_start(self, start: StartScores | None, count: int, threshold: float) -> Array:
        """Return which of `count` tiles need no search, (count,) bool; `start` is what `score` said of them."""
        if start is None or self.bundle.manifest.search.burn_in:
            return np.zeros(count, np.bool_)
        return np.asarray(start.start_score <= np.float32(threshold - self._guard.search))

    def fits(self, tiles: int, steps: int, *, available_ms: float) -> bool:
        """Return whether a search of so many tiles fits, by what was measured so far, with some margin."""
        restarts = self.bundle.manifest.search.restarts
        batches = self._batches(np.arange(tiles), restarts=restarts)
        rows = [len(batch) * restarts for batch in batches]
        return self._pace.fits(rows, steps=steps, available_ms=available_ms)

    def warm_up(self, *, search: bool = True, tiles: Sequence[int] = (1,)) -> None:
        """Load the graphs, run each once, and measure an iteration; without `search`, the score graph alone.

        Args:
            search: whether the search is run too.
            tiles: for so many tiles each.
        """
        for _ in range(2):
            self._pace = Pace()
            for count in tiles:
                self.try_out(count, search=search)
        if self._exact is not None:
            self._exact.warm_up(search=search)

    def try_out(self, tiles: int, *, search: bool) -> None:
        """Score so many black tiles, and with `search` take two iterations too."""
        image = self.bundle.manifest.image
        images = np.zeros((tiles, *image.size_hw, image.channels), np.uint8)
        if search:
            self.full(images, steps=2)
        else:
            self.score(images)

    def starts(self, count: int, start: StartScores | None) -> Array:
        """Return where the searches of `count` images start, (count,R,D); `start` is what `score` said of them."""
        restarts = self.bundle.manifest.search.restarts
        return start_latents(self._random_starts, restarts, count, None if start is None else start.latent)

    def _rows(self, images: Array, start: StartScores | None) -> Rows:
        rows = Rows(images, self.starts(len(images), start))
        if start is not None:
            counts = self.bundle.manifest.search.burn_in == 0
            rows.begin_at(_never_nan(start.start_score) if counts else None, start.reconstruction, start.residual)
        return rows

    def _read_starts(self) -> Array:
        starts = self.bundle.starts()
        if len(starts) < self.bundle.manifest.search.restarts:
            raise BundleError(
                f"{self.bundle.folder} stores {len(starts)} random starts, its search takes "
                f"{self.bundle.manifest.search.restarts}; export the bundle again"
            )
        return starts

    def _batches(self, tiles: Array, *, restarts: int) -> Iterator[Array]:
        height, width = self.bundle.manifest.image.size_hw
        rows = min(_BATCH_ROWS, _BATCH_PIXELS // (height * width))
        size = max(1, rows // restarts)
        for first in range(0, len(tiles), size):
            yield tiles[first : first + size]

    def _run(self, rows: Rows, threshold: np.float32, steps: int) -> None:
        while len(rows.pending(threshold, steps)):
            self._advance_all(rows, threshold, steps, None)

    def _advance_all(self, rows: Rows, threshold: np.float32, steps: int, deadline: Deadline | None) -> bool:
        """Take a chunk of iterations of all that is pending; False where time is over."""
        for tiles in self._batches(rows.pending(threshold, steps), restarts=rows.restarts):
            done = int(rows.searched[tiles].max())
            count = min(CHUNK_STEPS, steps - done, self._affordable(len(tiles) * rows.restarts, done, deadline))
            if count == 0:
                return False
            self._advance(rows, tiles, threshold, count)
        return True

    def _decided(
        self,
        rows: Rows,
        start: StartScores | None,
        part: slice,
        threshold: float,
        steps: int,
        deadline: Deadline | None,
    ) -> SearchedTiles:
        """Return what was found for the tiles of a frame; float32 decides where a lower precision is too near."""
        limit = np.float32(threshold - self._guard.search)
        found = result_of(rows, start, part, threshold=limit, steps=steps, scores_at={})
        tiles = near(found.score, threshold, self._guard.search)
        tiles = tiles[[found.outcome[tile] == "complete" for tile in tiles]]
        if self._exact is None or not len(tiles):
            return found
        images = rows.images[part][tiles]
        begin = self._exact.score(images)
        exact = self._exact.screen(images, begin, threshold=threshold, steps=steps, deadline=deadline)
        return with_exact_tiles(found, tiles, exact)

    def _affordable(self, rows: int, done: int, deadline: Deadline | None) -> int:
        if deadline is None:
            return CHUNK_STEPS
        fits = self._pace.steps_within(rows=rows, available_ms=deadline.remaining_ms())
        return fits if self.has_encoder or done else max(1, fits)

    def _advance(self, rows: Rows, tiles: Array, threshold: np.float32, count: int) -> None:
        begin_ns, done = time.perf_counter_ns(), int(rows.searched[tiles].max())
        inputs: Arrays = {
            **rows.take(tiles),
            "steps": np.asarray(count, np.int64),
            "threshold": np.asarray(threshold, np.float32),
            **self._maps["search"],
        }
        rows.put(tiles, self.backend.run("search", inputs))
        elapsed_ms = (time.perf_counter_ns() - begin_ns) / 1e6
        taken = int(rows.searched[tiles].max()) - done
        self._pace.record(rows=len(tiles) * rows.restarts, steps=max(1, taken), elapsed_ms=elapsed_ms)


def neutral_statistics(size_hw: tuple[int, int]) -> PixelStatistics:
    """Return pixel maps that change nothing, mean 0 and deviation 1, for the pass that measures the real ones."""
    return PixelStatistics(mean=np.zeros(size_hw, np.float32), deviation=np.ones(size_hw, np.float32))


def _never_nan(score: Array) -> Array:
    return np.where(np.isnan(score), np.float32(np.inf), score)
