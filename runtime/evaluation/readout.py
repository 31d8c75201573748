"""What a latent means for an image: its reconstruction, residual map, and every score that the bundle can compute.

scores = Readout(bundle, backend).scores(tiles, latents)["residual_mean"]
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ganspect.bundle import Bundle
from ganspect.preprocess import Maps, Tiles, stitch
from ganspect.runtime.backends import Backend
from ganspect.scoring import SCORES, Match, ScoreWeights, residual_map, to_unit_range

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_TILES_AT_ONCE = 32


class Readout:
    """Runs a bundle's generator and features graphs.

    Attributes:
        names: of the scores that the bundle can compute.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take the pixel statistics in force; raises CalibrationError where there are none."""
        self._backend = backend
        self._statistics = bundle.pixel_statistics()
        recorded = bundle.manifest.scores
        self._weights = ScoreWeights(recorded.feature_weight, recorded.alpha, recorded.kappa)
        self._features = bundle.manifest.graphs.get("features")
        self.names = tuple(name for name in SCORES if name in recorded.formulas)

    def scores(self, images: Array, latents: Array) -> dict[str, Array]:
        """Return every score that the bundle can compute, `names`.

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
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

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
        anchor = self._run("encoder", {"image": planes}) if self._needs_anchor else None
        seen, seen_in_it = self._see(planes, anchor), self._see(reconstruction, anchor)
        match = Match(
            planes,
            reconstruction,
            features=seen.get("features"),
            reconstruction_features=seen_in_it.get("features"),
            pixel_mean=self._statistics.mean,
            pixel_deviation=self._statistics.deviation,
            anchor=anchor,
            logit=seen.get("logit"),
            reconstruction_logit=seen_in_it.get("logit"),
            reconstruction_code=seen_in_it.get("code"),
        )
        return {name: SCORES[name].of(match, self._weights) for name in self.names}

    @property
    def _needs_anchor(self) -> bool:
        return self._features is not None and ("latent" in self._features.inputs or "code" in self._features.outputs)

    def _see(self, images: Array, anchor: Array | None) -> Mapping[str, Array]:
        if self._features is None:
            return {}
        inputs = {"image": images, "latent": anchor}
        return self._backend.run(
            "features", {name: value for name in self._features.inputs if (value := inputs[name]) is not None}
        )

    def _run(self, graph: str, inputs: Mapping[str, Array]) -> Array:
        (output,) = self._backend.run(graph, inputs).values()
        return output


def _to_planes(images: Array) -> Array:
    return np.ascontiguousarray(to_unit_range(images.astype(np.float32)).transpose(0, 3, 1, 2))
