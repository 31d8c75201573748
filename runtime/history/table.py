"""The newest verdicts as a table on the console.

print_table(history, Query(verdict="anomalous"))
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.errors import printable
from ganspect.runtime.history.local import local_time
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.store import History

_SHOWN = 20
_WIDE = 1_000


def print_table(history: History, query: Query) -> None:
    """Print a table, and how many verdicts of each kind the query chooses."""
    counts = history.count(query)
    records = list(history.records(replace(query, limit=query.limit or _SHOWN)))
    console = Console(markup=False)
    console.print(_fitting(console, records))
    total = sum(counts.values())
    named = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    console.print(f"{counted(total, history.path)}: {named}", highlight=False, soft_wrap=True)


def counted(count: int, path: Path) -> str:
    """Return `3 verdicts in FILE`, as it may be printed."""
    return f"{count} verdict{'' if count == 1 else 's'} in {printable(str(path))}"


def _fitting(console: Console, records: Sequence[Mapping[str, Any]]) -> Table:
    """Return the roomiest table whose words stay whole; what it may lack where labels take the room is the latency."""
    names = ["time", "camera", "verdict", "score", "T", "ms", "label", "id"]
    if not any(record["label"] for record in records):
        names.remove("label")
    least = [name for name in names if name != "ms"]
    table = _table(records, names, wide=True)
    for others, wide in ((names, False), (least, False)):
        if console.measure(table, options=console.options.update(width=_WIDE)).maximum <= console.width:
            break
        table = _table(records, others, wide=wide)
    return table


def _table(records: Sequence[Mapping[str, Any]], names: Sequence[str], *, wide: bool) -> Table:
    padding = (0, 1) if wide else (0, 0)
    table = Table(box=box.SIMPLE, collapse_padding=True, pad_edge=False, padding=padding, show_edge=wide)
    for name in names:
        # Of names that are too long for any terminal the cameras' are folded.
        table.add_column(name, no_wrap=name != "camera", overflow="fold")
    for record in records:
        cells = _cells(record)
        table.add_row(*(cells[name] for name in names))
    return table


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    return {
        "time": local_time(record["timestamp_ns"]).strftime("%m-%d %H:%M:%S.%f")[:-3],
        "camera": printable(record["camera"]),
        "verdict": record["verdict"],
        "score": "–" if record["score"] is None else f"{record['score']:.4g}",
        "T": f"{record['threshold']:.4g}",
        "ms": f"{record['latency_ms']['total']:.1f}",
        "label": printable(str(record["label"] or "")),  # of a damaged history it may be any text
        "id": printable(record["id"][:8]),
    }
