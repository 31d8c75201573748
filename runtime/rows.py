"""The rows of a latent search on the host: R starts for each tile, their state, and the best of each tile so far.

rows = Rows(images, starts)
rows.put(tiles, backend.run("search", rows.take(tiles) | {"steps": ..., "threshold": ...}))
"""

from typing import Any, TypeAlias

import numpy as np

from ganspect.runtime.backends import Arrays
from ganspect.scoring import State

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Rows:
    """Search state of T tiles with R rows each; row t * R + r is restart r of tile t, and `part` is t.

    Attributes:
        images: (T,h,w,C) uint8.
        restarts: R.
        state: arrays of T * R rows, see `ganspect.scoring.State`.
        searched: (T,) int64, iterations taken so far.
        score: (T,) float32, lowest score of a tile's rows, +inf before the first and where all are NaN.
        latent: (T,D) float32, the point that had it.
        reconstruction: (T,h,w,C) uint8, G of that point.
        residual: (T,h,w) float32 in [0, 1].
    """

    def __init__(self, images: Array, starts: Array) -> None:
        """Place the starts.

        Args:
            images: (T,h,w,C) uint8.
            starts: (T,R,D) float32.
        """
        count, self.restarts, size = starts.shape
        self.images = images
        self.state = begin_state(starts.reshape(-1, size), np.repeat(np.arange(count, dtype=np.int64), self.restarts))
        self.searched = np.zeros(count, np.int64)
        self.score = np.full(count, np.inf, np.float32)
        self.latent = starts[:, 0].copy()
        self.reconstruction = np.zeros_like(images)
        self.residual = np.zeros(images.shape[:3], np.float32)

    def begin_at(self, score: Array | None, reconstruction: Array, residual: Array) -> None:
        """Take what the score graph says of each tile's first row.

        The score goes into the search's own state, so that the best of a tile is never above its start's, by
        however little the two graphs round differently.

        Args:
            score: (T,) float32; None where the start's score does not count.
            reconstruction: (T,h,w,C) uint8.
            residual: (T,h,w) float32.
        """
        self.reconstruction, self.residual = reconstruction.copy(), residual.copy()
        if score is not None:
            self.score = score.copy()
            self.state.best_score[:: self.restarts] = score

    def pending(self, threshold: np.float32, steps: int) -> Array:
        """Return the indices of tiles that are not at or under the threshold and have iterations left."""
        return np.flatnonzero(~(self.score <= threshold) & (self.searched < steps))

    def take(self, tiles: Array) -> dict[str, Array]:
        """Return the search graph's `image` and state inputs for some tiles."""
        rows = self._rows(tiles)
        state = {name: values[rows] for name, values in self.state._asdict().items()}
        return {"image": np.repeat(self.images[tiles], self.restarts, axis=0), **state}

    def put(self, tiles: Array, outputs: Arrays) -> None:
        """Take the search graph's outputs for the tiles that `take` gave."""
        rows = self._rows(tiles)
        for name, values in self.state._asdict().items():
            if name != "part":
                values[rows] = outputs[f"{name}_out"]
        scores = self.state.best_score[rows].reshape(-1, self.restarts)
        best = np.arange(len(tiles)) * self.restarts + scores.argmin(1)
        self.searched[tiles] = self.state.step[rows].reshape(-1, self.restarts).max(1)
        self.score[tiles] = scores.min(1)
        self.latent[tiles] = outputs["best_latent_out"][best]
        self.reconstruction[tiles] = outputs["reconstruction"][best]
        self.residual[tiles] = outputs["residual"][best]

    def _rows(self, tiles: Array) -> Array:
        return np.asarray(tiles[:, None] * self.restarts + np.arange(self.restarts)).ravel()


def start_latents(random: Array, restarts: int, count: int, encoded: Array | None) -> Array:
    """Return where the searches of `count` images start, (count,R,D) float32: E(x) and random restarts.

    Args:
        random: (S,D) stored starts, S at least R.
        restarts: R.
        count: of images.
        encoded: (count,D) E(x); None without an encoder, and then all starts are random.
    """
    drawn = np.broadcast_to(random, (count, *random.shape))
    if encoded is None:
        return np.ascontiguousarray(drawn[:, :restarts])
    return np.concatenate([encoded[:, None], drawn[:, : restarts - 1]], axis=1)


def begin_state(latent: Array, part: Array) -> State:
    """Return the state before the first iteration of (N,D) float32 start latents; `part` is (N,) int64."""
    count = len(latent)
    latent = np.ascontiguousarray(latent, np.float32)
    return State(
        latent=latent.copy(),
        adam_m=np.zeros_like(latent),
        adam_v=np.zeros_like(latent),
        step=np.zeros(count, np.int64),
        best_score=np.full(count, np.inf, np.float32),
        best_latent=latent.copy(),
        part=part,
    )
