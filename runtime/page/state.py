"""What the page shows of a station, as JSON values; computed at most twice a second, however many look.

states = States(station, series, live)
print(states.now()["cameras"][0]["state"])
"""

import math
import threading
import time
from dataclasses import asdict
from typing import Any

from ganspect import __version__
from ganspect.runtime.drift import DriftStatus
from ganspect.runtime.judged import Judged
from ganspect.runtime.page.health import health_of
from ganspect.runtime.page.pictures import LivePictures
from ganspect.runtime.page.series import Series
from ganspect.runtime.percentiles import p50_p99
from ganspect.runtime.sinks.pictures import Pictures
from ganspect.runtime.station.station import Station

_FRESH_S = 0.5
_SINKS_FRESH_S = 5.0


class States:
    """The station's state, as those see it who look at the page."""

    def __init__(self, station: Station, series: Series, live: LivePictures, *, pictures_per_s: float) -> None:
        """Look at a station."""
        self._station = station
        self._pictures_per_s = pictures_per_s
        self._series = series
        self._live = live
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {}
        self._sinks: list[dict[str, Any]] = []
        self._until_s = self._sinks_until_s = 0.0

    def now(self) -> dict[str, Any]:
        """Return the state, at most half a second old."""
        with self._lock:
            if time.monotonic() >= self._until_s:
                self._state = self._describe()
                self._until_s = time.monotonic() + _FRESH_S
            return self._state

    def _describe(self) -> dict[str, Any]:
        station = self._station
        drift = {one.camera: _drift(one) for one in station.drift.status()}
        triggers = {one.camera: asdict(one) for one in station.cameras.trigger_status()}
        cameras = [
            {**self._camera(name), "drift": drift.get(name), "trigger": triggers.get(name)}
            for name in station.cameras.feeds
        ]
        return {
            "station": station.settings.name,
            "version": __version__,
            "now_ns": time.time_ns(),
            "pictures_per_s": self._pictures_per_s,
            "paused": station.paused,
            "problems": health_of(station).problems,
            "kept": station.recorder.kept,
            "held": station.recorder.held,
            "put_aside": station.recorder.rejected,
            "retention": asdict(station.retention.status()),
            "judging": asdict(station.judging.status()),
            "backend": f"{station.inspector.backend.name} {station.inspector.backend.precision}",
            "mode": station.inspector.mode,
            "threshold": station.inspector.threshold,
            "bundle": station.swap.bundle,
            "flagged": sum(camera["flagged"] for camera in cameras),
            "cameras": cameras,
            "sinks": self._described_sinks(),
            "outputs": [asdict(one) for one in station.outputs.status()],
            "swap": asdict(station.swap.status()),
            "good": _good(station),
        }

    def _camera(self, name: str) -> dict[str, Any]:
        feed, counts = self._station.cameras.feeds[name], self._station.counts.of(name)
        status = feed.status()
        p50_ms, p99_ms = p50_p99(counts.latency_ms)
        return {
            "name": name,
            "state": status.state,
            "error": status.error,
            "size_hw": status.size_hw,
            "age_s": status.age_s,
            "frames_per_s": status.frames_per_s,
            "verdicts_per_s": self._series.verdicts_per_s(name),
            "frames": status.frames,
            "verdicts": {kind: counts.verdicts[kind] for kind in ("normal", "anomalous", "undecided")},
            "flagged": counts.verdicts["anomalous"] + counts.verdicts["undecided"],
            "policy": feed.buffer.policy,
            "dropped": status.dropped,
            # What a camera's driver has dropped never came.
            "dropped_share": status.dropped / max(status.frames, status.dropped, 1),
            "unusable": counts.unusable + status.skipped,
            "reason": counts.reason,
            "failures": status.failures,
            "latency_p50_ms": p50_ms,
            "latency_p99_ms": p99_ms,
            "hung": status.hung,
            "clipped_share": self._station.parts.status(name).clipped_share,
            "newest": self._newest(name),
        }

    def _newest(self, name: str) -> dict[str, Any] | None:
        judged = self._live.newest(name)
        return None if judged is None else about(judged)

    def _described_sinks(self) -> list[dict[str, Any]]:
        if time.monotonic() >= self._sinks_until_s:
            self._sinks_until_s = time.monotonic() + _SINKS_FRESH_S
            self._sinks = [
                {
                    **{"name": one.name, "owed": one.owed, "delivered": one.delivered, "error": one.error},
                    "note": f"{one.refused:,} refused for good" if one.refused else "",
                }
                for one in self._station.sinks.status()
            ]
        # Those that write pictures look into no history: they are asked each time.
        return [*self._sinks, *(_pictures(one) for one in self._station.sinks.pictures)]


def about(judged: Judged) -> dict[str, Any]:
    """Return what the page says of a frame, as JSON values."""
    verdict = judged.verdict
    return {
        "id": judged.entry.uid,
        "verdict": verdict.verdict,
        "score": verdict.score if math.isfinite(verdict.score) else None,
        "threshold": verdict.threshold,
        "outcome": verdict.outcome,
        "timestamp_ns": judged.entry.timestamp_ns,
    }


def _pictures(sink: Pictures) -> dict[str, Any]:
    return {"name": sink.name, "owed": sink.waiting, "delivered": sink.saved, "error": sink.lost, "note": ""}


def _drift(status: DriftStatus) -> dict[str, Any]:
    known = status.ks is not None
    words = "as calibrated" if known else status.reason or "not known yet"
    if status.alarmed:
        words = "drifted"
    return {**asdict(status), "text": words}


def _good(station: Station) -> dict[str, Any]:
    status = station.good_period.status()
    return {
        "state": status.state,
        "name": status.name,
        "folder": None if status.folder is None else str(status.folder),
        "frames": sum((status.frames or {}).values()),
        "complete": status.complete,
        "reason": status.reason,
    }
