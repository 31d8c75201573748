"""Rows of bench.json from what was measured: percentiles as trtexec and others give them.

row = row_of(result)
"""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ganspect.runtime.bench.rounds import Result

Row: TypeAlias = dict[str, Any]

_PERCENTILES = (50, 90, 95, 99)


def row_of(result: Result) -> Row:
    """Return the figures of one measurement; durations in ms, memory in MB of 10^6 bytes, energy in mJ an image.

    `images_per_s` of a step counts an image once for each iteration; `ms_per_step` is the mean duration by the mean
    number of iterations, null where there are none.
    """
    mode, batch, steps = result.measurement
    mean_ms = float(np.mean(result.samples_ms))
    iterations = float(np.mean(result.iterations))
    return {
        "backend": result.described["backend"],
        "precision": result.described["precision"],
        "mode": mode,
        "batch": batch,
        "steps": steps,
        **latency(result.samples_ms),
        "images_per_s": _rounded(1e3 * batch / mean_ms) if mean_ms > 0 else None,
        "ms_per_step": _rounded(mean_ms / iterations) if iterations > 0 else None,
        "iterations": _rounded(iterations),
        "repetitions": len(result.samples_ms),
        "peak_rss_mb": round(result.peak_rss_mb, 1),
        "gpu_memory_mb": None if result.gpu_memory_mb is None else round(result.gpu_memory_mb, 1),
        "energy_mj": _energy_mj(result),
        "others_share": others_share([result]),
        "first_run_ms": _rounded(result.first_run_ms),
        "load_ms": _rounded(result.described["load_ms"]),
    }


def latency(samples_ms: Sequence[float]) -> Row:
    """Return mean, deviation, extremes and percentiles (linear interpolation) of durations."""
    samples = np.asarray(samples_ms, np.float64)
    found = {f"p{level}_ms": _rounded(float(np.percentile(samples, level))) for level in _PERCENTILES}
    return {
        **found,
        "mean_ms": _rounded(float(samples.mean())),
        "std_ms": _rounded(float(samples.std())),
        "min_ms": _rounded(float(samples.min())),
        "max_ms": _rounded(float(samples.max())),
    }


def others_share(results: Sequence[Result]) -> float | None:
    """Return which share of all cores' time other processes took; None where the kernel does not say."""
    counted = [result for result in results if result.others_s is not None and result.wall_s > 0]
    if not counted:
        return None
    taken_s, wall_s = sum(result.others_s or 0.0 for result in counted), sum(result.wall_s for result in counted)
    return round(max(0.0, taken_s / wall_s / (os.cpu_count() or 1)), 3)


def _energy_mj(result: Result) -> float | None:
    # A step is the difference of two calls: what both took together is not its energy.
    if result.energy_j is None or result.measurement.mode == "search_step":
        return None
    return _rounded(1e3 * result.energy_j / (result.measurement.batch * result.calls))


def _rounded(value: float) -> float:
    """Keep five significant digits: more are noise."""
    return float(f"{value:.5g}")
