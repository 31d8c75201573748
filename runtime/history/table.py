"""The newest verdicts as a table on the console.

print_table(history, Query(verdict="anomalous"))
"""

from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.errors import printable
from ganspect.runtime.history.local import local_time
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.store import History

_SHOWN = 20


def print_table(history: History, query: Query) -> None:
    """Print a table, and how many verdicts of each kind the query chooses."""
    counts = history.count(query)
    records = list(history.records(replace(query, limit=query.limit or _SHOWN)))
    labelled = any(record["label"] for record in records)
    # All but the cameras' names stays whole on 80 columns.
    table = Table(box=box.SIMPLE, collapse_padding=True, pad_edge=False)
    for name in ("time", "camera", "verdict", "score", "T", "ms", *(["label"] if labelled else []), "id"):
        table.add_column(name, no_wrap=name != "camera", overflow="fold")
    for record in records:
        table.add_row(
            local_time(record["timestamp_ns"]).strftime("%m-%d %H:%M:%S.%f")[:-3],
            printable(record["camera"]),
            record["verdict"],
            "–" if record["score"] is None else f"{record['score']:.4g}",
            f"{record['threshold']:.4g}",
            f"{record['latency_ms']['total']:.1f}",
            *([record["label"] or ""] if labelled else []),
            printable(record["id"][:8]),
        )
    console = Console(markup=False)
    console.print(table)
    total = sum(counts.values())
    named = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    console.print(f"{total} verdicts in {history.path}: {named}", highlight=False, soft_wrap=True)
