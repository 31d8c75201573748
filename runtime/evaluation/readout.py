"""What a latent means for an image: its reconstruction, residual map, and every score that the bundle can compute.

scores = Readout(bundle, backend).scores(tiles, latents)["residual_mean"]
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ganspect.bundle import Bundle
from ganspect.preprocess import Maps, Tiles, stitch
from ganspect.runtime.backends import Backend
from ganspect.scoring import SCORES, Match, residual_map, to_unit_range

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_TILES_AT_ONCE = 32


class Readout:
    """Runs a bundle's generator and features graphs."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take the pixel statistics in force; raises CalibrationError where there are none."""
        self._backend = backend
        self._statistics = bundle.pixel_statistics()

    def scores(self, images: Array, latents: Array) -> dict[str, Array]:
        """Return every score of `ganspect.scoring.SCORES` by name.

        Args:
            images: (T,h,w,C) uint8 tiles.
            latents: (T,D) float32, a point for each tile.

        Returns:
            (T,) scores; higher is more anomalous.
        """
        parts = [
            self._scores(images[first : first + _TILES_AT_ONCE], latents[first : first + _TILES_AT_ONCE])
            for first in range(0, len(images), _TILES_AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in SCORES}

    def reconstruct(self, latents: Array) -> Array:
        """Return G(z) as (T,C,H,W) float32 in [-1, 1]."""
        pieces = [latents[first : first + _TILES_AT_ONCE] for first in range(0, len(latents), _TILES_AT_ONCE)]
        return np.concatenate([self._run("generator", {"latent": piece}) for piece in pieces])

    def heat_map(self, tiles: Tiles, latents: Array) -> Maps:
        """Return the residual of a frame's tiles, (H,W) float32 in [0, 1] at the frame's size."""
        residual = residual_map(_to_planes(tiles.images), self.reconstruct(latents))
        return stitch(residual.astype(np.float32), tiles)

    def _scores(self, images: Array, latents: Array) -> Mapping[str, Array]:
        planes, reconstruction = _to_planes(images), self.reconstruct(latents)
        match = Match(
            planes,
            reconstruction,
            self._run("features", {"image": planes}),
            self._run("features", {"image": reconstruction}),
            self._statistics.mean,
            self._statistics.deviation,
        )
        return {name: score.of(match) for name, score in SCORES.items()}

    def _run(self, graph: str, inputs: Mapping[str, Array]) -> Array:
        (output,) = self._backend.run(graph, inputs).values()
        return output


def _to_planes(images: Array) -> Array:
    return np.ascontiguousarray(to_unit_range(images.astype(np.float32)).transpose(0, 3, 1, 2))
