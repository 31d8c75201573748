"""Entries made by hand."""

import numpy as np

from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.history import Entry
from ganspect.runtime.verdict import Verdict

BEGIN_NS = 1_700_000_000_000_000_000


def entry(number: int, *, camera: str = "left", verdict: str = "normal") -> Entry:
    """Return the verdict on a camera's frame, a second after the one before."""
    shot = Shot("video.mp4", number, BEGIN_NS + number * 1_000_000_000, np.zeros((4, 6), np.uint8), 0.5)
    judged = Verdict(
        verdict=verdict,
        anomalous=verdict != "normal",
        score=float("inf") if verdict == "undecided" else 0.25,
        start_score=0.5,
        threshold=0.3,
        outcome={"normal": "cleared", "anomalous": "complete", "undecided": "budget"}[verdict],
        steps=3,
        heat_map=np.zeros((4, 6), np.float32),
        regions=(),
        latency_ms={"preprocess": 0.1, "score": 1.0, "search": 2.0, "total": 3.1},
    )
    return Entry.of(
        Arrival(camera, number, shot, 0, shot.timestamp_ns), judged, mode="search", bundle="0" * 16, waited_ms=0.4
    )
