"""What a latent means for an image: its reconstruction, residual map, and every score that the bundle can compute.

In feature space the backbone, distance and picture graphs say what pixels say by themselves elsewhere.

readout = Readout(bundle, backend)
scores = readout.scores(readout.represent(tiles), latents)["residual_mean"]
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ganspect.bundle import Bundle
from ganspect.preprocess import Maps, Tiles, stitch
from ganspect.runtime.backends import Backend
from ganspect.scoring import Match, ScoreWeights, find_score, in_order, residual_map, to_unit_range

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_TILES_AT_ONCE = 32


class Readout:
    """Runs a bundle's generator and features graphs.

    Attributes:
        names: names of the scores that the bundle can compute.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        """Take the pixel statistics in force; raises CalibrationError where there are none."""
        self._backend = backend
        self._statistics = bundle.pixel_statistics()
        recorded = bundle.manifest.scores
        self._weights = ScoreWeights(recorded.feature_weight, recorded.alpha, recorded.kappa, recorded.deviations)
        self._share = recorded.share
        self._graphs = bundle.manifest.graphs
        self._features = bundle.manifest.graphs.get("features")
        self.names = in_order(recorded.formulas)
        takes_latents = any("latent" in find_score(name).needs for name in self.names)
        # Bundles of older versions have no such score, and no prior in their files.
        self._prior = bundle.prior() if takes_latents else None

    def scores(self, x: Array, latents: Array) -> dict[str, Array]:
        """Return every score that the bundle can compute, `names`.

        Args:
            x: (T,C,h,w) float32, from `represent`.
            latents: (T,D) float32, a point for each tile.

        Returns:
            (T,) scores; higher is more anomalous.
        """
        parts = [
            self._scores(x[first : first + _TILES_AT_ONCE], latents[first : first + _TILES_AT_ONCE])
            for first in range(0, len(x), _TILES_AT_ONCE)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def represent(self, images: Array) -> Array:
        """Return x, (T,C,h,w) float32, of (T,H,W,channels) uint8 tiles: planes in [-1, 1], or feature maps."""
        if "backbone" not in self._graphs:
            return _to_planes(images)
        return self._in_pieces("backbone", image=images)

    def reconstruct(self, latents: Array) -> Array:
        """Return G(z), (T,C,h,w) float32, as x is."""
        return self._in_pieces("generator", latent=latents)

    def pictures(self, latents: Array) -> Array:
        """Return G(z) as pictures, (T,H,W,channels) uint8."""
        reconstruction = self.reconstruct(latents)
        if "picture" in self._graphs:
            return self._in_pieces("picture", x=reconstruction)
        planes = reconstruction.transpose(0, 2, 3, 1)
        return np.asarray(np.clip(np.rint((planes + 1) * 127.5), 0, 255), np.uint8)

    def heat_map(self, tiles: Tiles, latents: Array) -> Maps:
        """Return the residual of a frame's tiles, (H,W) float32 at the frame's size: in [0, 1], or in deviations."""
        x, reconstruction = self.represent(tiles.images), self.reconstruct(latents)
        if "distance" in self._graphs:
            residual = self._distances(x, reconstruction)["residual"]
        else:
            residual = residual_map(x, reconstruction)
        return stitch(residual.astype(np.float32), tiles)

    def _in_pieces(self, graph: str, **inputs: Array) -> Array:
        ((name, values),) = inputs.items()
        pieces = [values[first : first + _TILES_AT_ONCE] for first in range(0, len(values), _TILES_AT_ONCE)]
        return np.concatenate([self._run(graph, {name: piece}) for piece in pieces])

    def _scores(self, x: Array, latents: Array) -> Mapping[str, Array]:
        reconstruction = self.reconstruct(latents)
        anchor = self._run("encoder", {"image": x}) if self._needs_anchor else None
        seen, seen_in_it = self._see(x, anchor), self._see(reconstruction, anchor)
        match = Match(
            x,
            reconstruction,
            features=seen.get("features"),
            reconstruction_features=seen_in_it.get("features"),
            pixel_mean=self._statistics.mean,
            pixel_deviation=self._statistics.deviation,
            anchor=anchor,
            logit=seen.get("logit"),
            reconstruction_logit=seen_in_it.get("logit"),
            reconstruction_code=seen_in_it.get("code"),
            distance=self._distance(x, reconstruction),
            share=self._share,
            latent=latents,
            latent_mean=self._prior and self._prior.mean,
            latent_deviation=self._prior and self._prior.deviation,
        )
        return {name: find_score(name).of(match, self._weights) for name in self.names}

    def _distance(self, x: Array, reconstruction: Array) -> Array | None:
        if "distance" not in self._graphs:
            return None
        return self._distances(x, reconstruction)["distance"]

    def _distances(self, x: Array, reconstruction: Array) -> Mapping[str, Array]:
        parts = [
            self._backend.run("distance", {"x": x[piece], "reconstruction": reconstruction[piece]})
            for piece in (slice(first, first + _TILES_AT_ONCE) for first in range(0, len(x), _TILES_AT_ONCE))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

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
