"""Scores over the last minutes, a point a second and camera, for the page's charts.

series = Series(("left",)); station.observers.append(series.judged)
print(series.since("left", 0))
"""

import math
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass

from ganspect.runtime.judged import Judged

_SECONDS = 900
_RATE_S = 10


@dataclass
class Point:
    """A second of one camera.

    Attributes:
        number: of the point, ascending; the time of day may be set back.
        second: since 1970.
        verdicts: frames that were judged.
        flagged: of these, anomalous or undecided.
        undecided: of these.
        score: the highest, of the flagged ones where there are any; +inf for a search that was not finished.
        threshold: that it was compared with.
    """

    number: int
    second: int
    verdicts: int
    flagged: int
    undecided: int
    score: float
    threshold: float


class Series:
    """Points of all cameras, a quarter of an hour; may be read and changed from several threads."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._points: dict[str, deque[Point]] = {name: deque(maxlen=_SECONDS) for name in cameras}

    def judged(self, judged: Judged) -> None:
        """Take in a verdict."""
        verdict, second = judged.verdict, judged.entry.timestamp_ns // 1_000_000_000
        with self._lock:
            points = self._points[judged.entry.camera]
            if not points or points[-1].second != second:
                number = points[-1].number + 1 if points else 0
                points.append(Point(number, second, 0, 0, 0, -math.inf, verdict.threshold))
            point = points[-1]
            if verdict.anomalous and not point.flagged:
                point.score = -math.inf  # from now on of the flagged ones
            if verdict.anomalous or not point.flagged:
                point.score = max(point.score, verdict.score)
            point.verdicts += 1
            point.flagged += verdict.anomalous
            point.undecided += verdict.verdict == "undecided"
            point.threshold = verdict.threshold

    def since(self, camera: str, number: int) -> list[dict[str, float | None]]:
        """Return a camera's points from a number on as JSON values; the last one may still change."""
        with self._lock:
            points = [point for point in self._points[camera] if point.number >= number]
        return [{**asdict(one), "score": one.score if math.isfinite(one.score) else None} for one in points]

    def verdicts_per_s(self, camera: str) -> float:
        """Return how many verdicts a second a camera had in the last ten seconds that are over."""
        now = int(time.time())
        with self._lock:
            found = sum(
                point.verdicts for point in reversed(self._points[camera]) if now - _RATE_S <= point.second < now
            )
        return found / _RATE_S
