"""The reference beside itself: the same search begun a rounding away, which says how sharp a score is at all.

L1's gradient is a sign and Adam's first step takes every latent by a full learning rate, so a search in float32 that
starts a few last digits beside another ends with another best score. No backend can be nearer to it than that.
"""

import numpy as np

from ganspect.runtime.backends import Arrays, Backend

_ROUNDING = 2.0**-16
"""About what float32 sums of thousands of products differ by when they are added in another order."""


class Nudged(Backend):
    """A backend whose searches start at latents that differ by the rounding of sums in float32.

    Attributes:
        name: of the backend.
        version: of the backend.
        precision: of the backend.
        device: of the backend.
    """

    def __init__(self, backend: Backend, seed: int = 0) -> None:
        """Wrap a backend, which is not closed with this one."""
        self.name, self.version = backend.name, backend.version
        self.precision, self.device = backend.precision, backend.device
        self._backend = backend
        self._random = np.random.default_rng(seed)

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph; the latents of searches that begin are nudged."""
        if graph != "search" or inputs["step"].any():
            return self._backend.run(graph, inputs)
        latent = inputs["latent"]
        factors = 1 + _ROUNDING * self._random.standard_normal(latent.shape)
        return self._backend.run(graph, {**inputs, "latent": (latent * factors).astype(np.float32)})

    def close(self) -> None:
        """Leave the wrapped backend open."""
