"""Drift of all cameras of a station: an observer of its verdicts, and what a page and the metrics ask.

drift = Drift(station.inspector, tuple(station.cameras.feeds), DriftSettings(), data)
station.observers.append(drift.observe)
print(drift.status())
"""

import math
import threading
from collections.abc import Sequence
from pathlib import Path

from ganspect.runtime.drift.learned import LearnedReference, LearnedReferences, read_learned, write_learned
from ganspect.runtime.drift.measures import LEAST_FRAMES
from ganspect.runtime.drift.monitor import DriftStatus, Monitor
from ganspect.runtime.drift.settings import DriftSettings
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.judged import Judged
from ganspect.runtime.scale import score_scale

_WITHOUT_ENCODER = (
    "the bundle has no encoder, so there is no start score; one that the early exit cuts off is no measure"
)
_OFF = "drift is switched off (drift.enabled)"


class Drift:
    """Watches what every frame scores before it is searched, whatever its verdict.

    In encoder mode that is the encoder's score, against the calibration's encoder scores. `observe` neither waits nor
    raises; `status` may be called from any thread.
    """

    def __init__(self, inspector: Inspector, cameras: Sequence[str], settings: DriftSettings, data: Path) -> None:
        """Begin.

        Args:
            inspector: whose verdicts are watched.
            cameras: their names.
            settings: of the section `drift:`.
            data: the station's folder, for what is learned.
        """
        self._cameras = tuple(cameras)
        self._settings = settings
        self._data = data
        self._lock = threading.Lock()
        self._learned = read_learned(data)
        self._monitors: dict[str, Monitor] = {}
        self._key = self._reason = self._made_by = ""
        self.use(inspector)

    def use(self, inspector: Inspector) -> None:
        """Begin anew with another bundle or calibration: windows are emptied, and alarms forgotten."""
        calibration, manifest = inspector.calibration, inspector.bundle.manifest
        self._key = "start_score" if inspector.mode == "search" else "score"
        self._made_by = f"{inspector.bundle.manifest_sha256[:16]} {calibration.created} {inspector.mode}"
        self._reason = _OFF if not self._settings.enabled else ""
        if not self._reason and "score" not in manifest.graphs:
            self._reason = _WITHOUT_ENCODER
        kept = None
        if self._settings.reference == "calibration" and not self._reason:
            raw = calibration.start_scores if inspector.mode == "search" else calibration.encoder_scores
            scale = score_scale(inspector.bundle, inspector.mode)
            kept = None if raw is None else [scale.of(score) for score in raw]
        self._monitors = {} if self._reason else {name: self._monitor(name, kept) for name in self._cameras}

    def observe(self, judged: Judged) -> None:
        """Take note of a verdict: microseconds, ten times a window some hundred of them."""
        monitor = self._monitors.get(judged.entry.camera)
        if monitor is None:
            return
        score = judged.entry.record[self._key]
        learned = monitor.add(math.inf if score is None else score)
        if learned is not None:
            # In a thread of its own: a disk may be slow, and verdicts do not wait.
            threading.Thread(
                target=self._keep, args=(monitor.camera, learned, self._made_by), name="drift", daemon=True
            ).start()

    def status(self) -> tuple[DriftStatus, ...]:
        """Return what is known of each camera."""
        if self._reason:
            return tuple(DriftStatus(name, "none", self._reason) for name in self._cameras)
        return tuple(monitor.status() for monitor in self._monitors.values())

    def _monitor(self, camera: str, kept: list[float] | None) -> Monitor:
        if kept is not None and len(set(kept)) >= LEAST_FRAMES:
            return Monitor(camera, self._settings, kept, "calibration")
        learned = self._learned.cameras.get(camera)
        known = learned is not None and learned.made_by == self._made_by and len(set(learned.scores)) >= LEAST_FRAMES
        return Monitor(camera, self._settings, learned.scores if learned is not None and known else None, "station")

    def _keep(self, camera: str, scores: tuple[float, ...], made_by: str) -> None:
        with self._lock:
            reference = LearnedReference(made_by=made_by, scores=list(scores))
            self._learned = LearnedReferences(cameras={**self._learned.cameras, camera: reference})
            write_learned(self._data, self._learned)
