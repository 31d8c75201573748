"""Figures in the words and digits of the page and the console; what is missing is a dash."""

from collections.abc import Mapping
from typing import Any

from ganspect.runtime.backends.selection import ENGINES

MISSING = "–"

NAMES: Mapping[str, str] = {
    **{name: engine.product for name, engine in ENGINES.items()},
    "pytorch-eager": "PyTorch eager",
    "pytorch-compiled": "PyTorch compiled",
}
"""Backends as their makers write them."""


def name_of(row: Mapping[str, Any]) -> str:
    """Return backend and precision: `OpenVINO bf16`."""
    backend, _, device = str(row["backend"]).partition(":")
    return " ".join(filter(None, (NAMES.get(backend, backend), device, str(row["precision"]))))


def duration(milliseconds: float) -> str:
    """Return milliseconds without the unit, with three digits or more: `0.412`, `4.12`, `41.2`, `412`."""
    if abs(milliseconds) >= 100:
        return f"{milliseconds:.0f}"
    return f"{milliseconds:.1f}" if abs(milliseconds) >= 10 else f"{milliseconds:.3g}"


def rate(images_per_s: float | None) -> str:
    """Return images a second, with three digits or more."""
    if images_per_s is None:
        return MISSING
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.3g}"


def times(ratio: float | None) -> str:
    """Return a ratio: `8.1×`."""
    return MISSING if ratio is None else f"{ratio:.1f}×"
