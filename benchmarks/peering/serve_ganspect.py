"""A measuring process for a bundle, in an environment that has what a camera's computer gets and no more.

echo '{"do": "open", "bundle": "bundle", "backend": "openvino", ...}' | python -m peering.serve_ganspect
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganspect.runtime import Inspector, Tuning
from peering.serving import Array, Judged, read_frames, serve


class Bundle:
    """A bundle in its own mode; see `peering.serving.Session`."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Open it, and keep those frames that clear at the start.

        Args:
            request: `bundle`, its folder; `backend`, `precision` and `threads`; `frames`, the path of their file.

        Raises:
            ValueError: none of the frames clears.
        """
        self._inspector = Inspector.load(
            request["bundle"],
            backend=request["backend"],
            precision=request["precision"],
            tuning=Tuning(threads=request["threads"]),
        )
        given = read_frames(Path(request["frames"]))
        self.frames = [frame for frame in given if self._clears_at_the_start(frame)]
        if not self.frames:
            raise ValueError(f"none of {len(given)} normal frames clears at the start, so there is nothing to time")

    def score(self, frame: Array) -> float:
        """Return the score of a frame; its heat map and verdict are made too."""
        return self._inspector.inspect(frame).score

    def judge(self, image: Array) -> Judged:
        """Return the score alone; figures of a bundle are those of `ganspect evaluate`."""
        return self.score(image), None

    def _clears_at_the_start(self, frame: Array) -> bool:
        verdict = self._inspector.inspect(frame)
        return verdict.verdict == "normal" and verdict.steps <= 1  # the start counts as a step of the search


if __name__ == "__main__":
    serve(Bundle)
