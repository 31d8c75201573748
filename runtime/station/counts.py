"""What a station counted since it began, by camera; read by the page, the metrics and the summary.

counts.judged(entry); print(counts.of("left").verdicts)
"""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from ganspect.runtime.history.entry import Entry

_LATENCIES = 10_000


@dataclass
class CameraCounts:
    """One camera's figures.

    Attributes:
        verdicts: frames by verdict.
        unusable: frames that could not be judged.
        reason: why the last of them could not.
        latency_ms: from a frame's arrival to its verdict, of the last frames.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    unusable: int = 0
    reason: str = ""
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))


class Counts:
    """Figures of all cameras; may be read and changed from several threads."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._cameras = {name: CameraCounts() for name in cameras}

    def judged(self, entry: Entry) -> None:
        """Count a verdict."""
        with self._lock:
            counts = self._cameras[entry.camera]
            counts.verdicts[entry.verdict] += 1
            counts.latency_ms.append(entry.record["latency_ms"]["total"])

    def unusable(self, camera: str, reason: str) -> None:
        """Count a frame that could not be judged."""
        with self._lock:
            counts = self._cameras[camera]
            counts.unusable += 1
            counts.reason = reason

    def of(self, camera: str) -> CameraCounts:
        """Return a copy of a camera's figures."""
        with self._lock:
            counts = self._cameras[camera]
            return CameraCounts(
                Counter(counts.verdicts), counts.unusable, counts.reason, deque(counts.latency_ms, maxlen=_LATENCIES)
            )
