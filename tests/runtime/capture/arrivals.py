"""Arrivals made by hand."""

import time

import numpy as np

from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot


def arrival(sequence: int, camera: str = "left", *, arrived_ns: int | None = None) -> Arrival:
    """Return a frame that is full of its own number."""
    frame = np.full((4, 6), sequence % 256, np.uint8)
    when = time.perf_counter_ns() if arrived_ns is None else arrived_ns
    return Arrival(camera, sequence, Shot(camera, sequence, 0, frame, 0.0), when, time.time_ns())
