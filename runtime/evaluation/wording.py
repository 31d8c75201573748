"""Figures in the words and digits of the page and the console; what is missing is a dash."""

from collections.abc import Mapping
from typing import Any

NAMES: Mapping[str, str] = {
    "search": "latent search",
    "encoder": "encoder alone",
    "pca": "PCA",
    "pca_deployed_score": "PCA, same score",
    "pca_features": "PCA, features",
    "padim": "PaDiM",
    "patchcore": "PatchCore",
    "mean_intensity": "mean intensity",
}
"""The systems that a report compares, by their key in metrics.json."""

MISSING = "–"


def compared(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what a report compares by its key in `NAMES`, as far as it was measured."""
    pca = metrics["pca"] or {}
    found = {
        **metrics["systems"],
        "pca": metrics["pca"],
        "pca_deployed_score": pca.get("deployed_score"),
        **metrics["baselines"],
        "mean_intensity": metrics["mean_intensity"],
    }
    return {key: entry for key, entry in found.items() if entry is not None}


def with_interval(metric: Mapping[str, float] | None) -> str:
    """Return `0.949 [0.931, 0.964]`."""
    if metric is None:
        return MISSING
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def signed(value: float) -> str:
    """Return a difference as `+0.012`, or with a minus sign proper."""
    return f"{value:+.3f}".replace("-", "−")


def percent(share: float | None) -> str:
    """Return a share as `2.5%`."""
    return MISSING if share is None else f"{100 * share:.1f}%"


def percent_range(low: float | None, high: float | None) -> str:
    """Return `0.9% to 7.2%`."""
    return f"{percent(low)} to {percent(high)}"


def milliseconds(duration_ms: float) -> str:
    """Return `3.2 ms`, and without decimals from 100 on."""
    return f"{duration_ms:.0f} ms" if duration_ms >= 100 else f"{duration_ms:.1f} ms"


def number(value: float | None) -> str:
    """Return a mean count with one decimal."""
    return MISSING if value is None else f"{value:.1f}"


def alarms(point: Mapping[str, Any] | None) -> str:
    """Return the false alarms at the threshold: `3 of 118 (2.5%)`."""
    if point is None or point["fpr"] is None:
        return MISSING
    return f"{point['false_alarms']} of {point['n_normal']} ({percent(point['fpr'])})"


def rate_of(hits: int, trials: int) -> str:
    """Return a share and its counts, short enough for a console: `2.5% (3/118)`."""
    return MISSING if trials == 0 else f"{percent(hits / trials)} ({hits}/{trials})"


def detections(point: Mapping[str, Any] | None) -> str:
    """Return the defects found at the threshold: `250 of 313 (79.9%)`."""
    if point is None or point["tpr"] is None:
        return MISSING
    return f"{point['detections']} of {point['n_anomalous']} ({percent(point['tpr'])})"
