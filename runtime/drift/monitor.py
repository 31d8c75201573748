"""One camera's drift: its last scores, compared with the reference now and then, and an alarm that does not flutter.

monitor.add(score); print(monitor.status())
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from ganspect.runtime.drift.measures import LEAST_FRAMES, Distance, Limits, Reference, limits_of
from ganspect.runtime.drift.settings import DriftSettings

_log = logging.getLogger("ganspect.station")

Origin: TypeAlias = Literal["calibration", "station", "none"]

LOOKS_A_WINDOW = 10
HORIZON_WINDOWS = 20
"""Over how many windows the promised chance of a false alarm is counted."""

_OVER_AT = 0.8
"""Share of both limits under which an alarm ends; at the limit itself it would come and go."""

_MOVED = 0.5
"""Deviations that the median must have moved for all parts, and not only some, to look different."""


@dataclass(frozen=True)
class DriftStatus:
    """What a page and the metrics show of one camera.

    Attributes:
        camera: its name.
        reference: where the scores without drift come from: the calibration, the station's own first frames, or
            `none`: there is nothing to compare.
        reason: why there is none, or an empty string.
        reference_frames: scores in it; while it is still being learned, those that are there.
        learning: whether it is.
        frames: in the window.
        psi: see `measures.Distance`; None before the first look.
        psi_limit: the alarm begins above it.
        ks: likewise.
        ks_limit: likewise.
        p_value: of `ks`, at one look.
        shift: of the medians, in deviations of the reference, positive if frames score higher than before.
        alarmed: whether there is drift.
        since_ns: time of day when the alarm began; None without one.
    """

    camera: str
    reference: Origin
    reason: str = ""
    reference_frames: int = 0
    learning: bool = False
    frames: int = 0
    psi: float | None = None
    psi_limit: float | None = None
    ks: float | None = None
    ks_limit: float | None = None
    p_value: float | None = None
    shift: float | None = None
    alarmed: bool = False
    since_ns: int | None = None


class Monitor:
    """Watches one camera. May be read from other threads while scores are added."""

    def __init__(self, camera: str, settings: DriftSettings, scores: Sequence[float] | None, origin: Origin) -> None:
        """Begin with an empty window.

        Args:
            camera: its name.
            settings: of the section `drift:`.
            scores: the reference; None: it is learned from the first window.
            origin: where it comes from.
        """
        self.camera = camera
        self._settings = settings
        self._origin = origin
        self._reference = None if scores is None else Reference(scores)
        self._window: deque[float] = deque(maxlen=settings.window)
        self._seen = self._until_look = 0
        self._level = settings.false_alarm_rate / (HORIZON_WINDOWS * LOOKS_A_WINDOW)
        self._found: tuple[Distance, Limits] | None = None
        self._since_ns: int | None = None
        self._lock = threading.Lock()

    def add(self, score: float) -> tuple[float, ...] | None:
        """Take in a frame's score.

        Args:
            score: of a frame; +inf where it could not be computed.

        Returns:
            The reference when it was just learned, to be kept.
        """
        self._seen += 1
        if (self._seen - 1) % self._settings.every_n:
            return None
        with self._lock:
            self._window.append(score)
            if self._reference is None:
                return self._learn()
            self._until_look -= 1
            if self._until_look <= 0:
                self._until_look = self._settings.window // LOOKS_A_WINDOW
                self._look(self._reference)
        return None

    def status(self) -> DriftStatus:
        """Return what is known."""
        with self._lock:
            known = DriftStatus(
                self.camera,
                self._origin,
                reference_frames=len(self._window) if self._reference is None else self._reference.size,
                learning=self._reference is None,
                frames=0 if self._reference is None else len(self._window),
            )
            if self._found is None:
                return known
            distance, limits = self._found
        return replace(
            known,
            psi=distance.psi,
            psi_limit=limits.psi,
            ks=distance.ks,
            ks_limit=limits.ks,
            p_value=distance.p_value,
            shift=distance.shift,
            alarmed=self._since_ns is not None,
            since_ns=self._since_ns,
        )

    def _learn(self) -> tuple[float, ...] | None:
        finite = [score for score in self._window if np.isfinite(score)]
        if len(self._window) < self._settings.window or len(set(finite)) < LEAST_FRAMES:
            return None
        self._reference = Reference(finite)
        self._window.clear()
        _log.info("camera %s: drift is told from its first %d frames from now on", self.camera, len(finite))
        return tuple(finite)

    def _look(self, reference: Reference) -> None:
        if len(self._window) < LEAST_FRAMES:
            return
        distance = reference.distance(np.fromiter(self._window, np.float64, len(self._window)))
        if distance.distinct < LEAST_FRAMES:
            return  # a still scene: the same picture again and again
        limits = limits_of(n_reference=reference.size, n_window=distance.distinct, level=self._level)
        self._found = distance, limits
        excess = max(distance.ks / limits.ks, distance.psi / limits.psi)
        if self._since_ns is None and excess > 1:
            self._since_ns = time.time_ns()
            _log.warning("camera %s: drift: %s; %s", self.camera, _said(distance, limits), _advice(distance))
        elif self._since_ns is not None and excess < _OVER_AT:
            self._since_ns = None
            _log.warning("camera %s: drift is over: %s", self.camera, _said(distance, limits))


def _said(distance: Distance, limits: Limits) -> str:
    return f"KS {distance.ks:.2f} (limit {limits.ks:.2f}), PSI {distance.psi:.2f} (limit {limits.psi:.2f})"


def _advice(distance: Distance) -> str:
    if distance.shift is None or abs(distance.shift) >= _MOVED:
        moved = "" if distance.shift is None else f" (their median by {distance.shift:+.1f} deviations)"
        return f"all frames score differently{moved}: look at lens, light and focus"
    return "the median has hardly moved, so some parts look different: look at those that are anomalous"
