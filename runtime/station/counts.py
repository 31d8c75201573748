"""What a station counted since it began, by camera; read by the page, the metrics and the summary.

counts.judged(entry); print(counts.of("left").verdicts)
"""

import bisect
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from ganspect.runtime.history.entry import Entry

_LATENCIES = 10_000
_RECENT, _OFTEN = 100, 0.2
_FAILING = 3
"""Frames in a row without a verdict: one or two may be a broken picture of the network's."""

BOUNDS_MS = (5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)
"""Upper ends of the latency histogram's bins; the last bin has none."""


@dataclass
class CameraCounts:
    """One camera's figures.

    Attributes:
        verdicts: frames by verdict.
        unusable: frames that could not be judged.
        in_a_row: of these, the ones since the last verdict.
        reason: why the last of them could not.
        undecided: of the last frames, whether the search ran out of time.
        latency_ms: from a frame's arrival to its verdict, of the last frames.
        latency_bins: frames by latency since the start, see `BOUNDS_MS`; one more than bounds.
        latency_sum_ms: of all frames.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    unusable: int = 0
    in_a_row: int = 0
    reason: str = ""
    undecided: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT))
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    latency_bins: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    latency_sum_ms: float = 0.0


class Counts:
    """Figures of all cameras; may be read and changed from several threads."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._cameras = {name: CameraCounts() for name in cameras}

    def judged(self, entry: Entry) -> None:
        """Count a verdict."""
        latency_ms = entry.record["latency_ms"]["total"]
        with self._lock:
            counts = self._cameras[entry.camera]
            counts.verdicts[entry.verdict] += 1
            counts.in_a_row = 0
            counts.undecided.append(entry.verdict == "undecided")
            counts.latency_ms.append(latency_ms)
            counts.latency_bins[bisect.bisect_left(BOUNDS_MS, latency_ms)] += 1
            counts.latency_sum_ms += latency_ms

    def unusable(self, camera: str, reason: str) -> None:
        """Count a frame that could not be judged."""
        with self._lock:
            counts = self._cameras[camera]
            counts.unusable += 1
            counts.in_a_row += 1
            counts.reason = reason

    def failing(self) -> dict[str, tuple[int, str]]:
        """Return the cameras none of whose last frames could be judged: how many in a row, and why not the last."""
        with self._lock:
            return {
                name: (counts.in_a_row, counts.reason)
                for name, counts in self._cameras.items()
                if counts.in_a_row >= _FAILING
            }

    def hurried(self) -> dict[str, float]:
        """Return the cameras whose search often ran out of time of late: the share of undecided verdicts."""
        with self._lock:
            shares = {
                name: sum(counts.undecided) / _RECENT
                for name, counts in self._cameras.items()
                if len(counts.undecided) == _RECENT
            }
        return {name: share for name, share in shares.items() if share >= _OFTEN}

    def of(self, camera: str) -> CameraCounts:
        """Return a copy of a camera's figures."""
        with self._lock:
            counts = self._cameras[camera]
            return CameraCounts(
                Counter(counts.verdicts),
                counts.unusable,
                counts.in_a_row,
                counts.reason,
                counts.undecided.copy(),
                deque(counts.latency_ms, maxlen=_LATENCIES),
                list(counts.latency_bins),
                counts.latency_sum_ms,
            )
