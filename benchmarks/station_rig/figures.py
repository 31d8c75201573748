"""Figures as rows of a table that eighty columns hold.

add_row(table, "rss_mb", {"begin": 147.7, "end": 147.9})     # rss mb, begin / end │ 147.7 / 147.9
"""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def add_row(table: Table, name: str, *values: Any) -> None:
    """Add a figure, side by side for several contenders; the parts of one are named beside its name."""
    parts = f", {' / '.join(values[0])}" if isinstance(values[0], Mapping) else ""
    table.add_row((name + parts).replace("_", " "), *map(_shown, values))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " / ".join(map(str, value.values()))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
