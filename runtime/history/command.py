"""`ganspect history`: verdicts of a station, on the screen, or as JSON lines or CSV.

show_history(Path("station"), camera="left", verdict="anomalous", since="2h")
"""

import csv
import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.errors import ConfigError, OutputError, printable
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.store import HISTORY, History

Format: TypeAlias = Literal["table", "jsonl", "csv"]

COLUMNS = (
    *("number", "id", "camera", "sequence", "signal", "timestamp_ns", "verdict", "score", "start_score", "threshold"),
    *("outcome", "steps", "label", "source", "bundle"),
)
"""Of the CSV, in order; the JSON lines have everything."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def show_history(
    data: Path,
    *,
    camera: str | None = None,
    verdict: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    form: Format = "table",
    out: Path | None = None,
) -> None:
    """Print verdicts, or write them into a file.

    Args:
        data: a station's data folder, or its history.sqlite; a running station is not disturbed.
        camera: its name; None: all.
        verdict: of one kind; None: all.
        since: time of day in ISO 8601, or how long ago: `30m`, `2h`, `7d`.
        until: likewise.
        limit: how many at most, the newest.
        form: a table, JSON lines, or CSV.
        out: file to write; None: standard output.

    Raises:
        ConfigError: a time that is none.
        OutputError: there is no history, or `out` cannot be written.
    """
    if out is not None and form == "table":
        raise ConfigError(f"--out {out} was given for a table, which is printed; add --format csv or --format jsonl")
    query = Query(camera, verdict, read_time(since), read_time(until), limit)
    with History.open(data / HISTORY if os.path.isdir(data) else data, read_only=True) as history:
        if form == "table":
            _print_table(history, query)
            return
        if out is None:
            _write(history.records(query), form, sys.stdout)
            return
        try:
            with out.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                _write(history.records(query), form, file)
        except OSError as error:
            raise OutputError(f"cannot write {out}: {error.strerror}; choose another --out") from error


def read_time(text: str | None) -> int | None:
    """Return a time of day in ns since 1970, from ISO 8601 (local time where it names no zone) or `30m`, `2h`, `7d`.

    Raises:
        ConfigError: it is neither.
    """
    if text is None:
        return None
    if ago := re.fullmatch("([0-9]{1,6})([smhd])", text):
        try:
            at = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError as error:
            raise ConfigError(f"{text!r} is longer ago than there are dates; give less") from error
    else:
        try:
            at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
        except (ValueError, OverflowError, OSError) as error:
            raise ConfigError(
                f"{text!r} is no time; give one such as 2026-11-24T06:00, or how long ago: 30m, 2h, 7d"
            ) from error
    return round(at.timestamp() * 1e9)


def _print_table(history: History, query: Query) -> None:
    counts = history.count(query)
    table = Table(*("time", "camera", "verdict", "score", "threshold", "ms", "label", "id"), box=box.SIMPLE)
    for name in ("time", "id"):
        next(column for column in table.columns if column.header == name).no_wrap = True
    shown = Query(query.camera, query.verdict, query.since_ns, query.until_ns, query.limit or 20)
    for record in history.records(shown):
        at = datetime.fromtimestamp(record["timestamp_ns"] / 1e9).astimezone()
        table.add_row(
            at.strftime("%m-%d %H:%M:%S.%f")[:-3],
            printable(record["camera"]),
            record["verdict"],
            "–" if record["score"] is None else f"{record['score']:.4g}",
            f"{record['threshold']:.4g}",
            f"{record['latency_ms']['total']:.1f}",
            record["label"] or "",
            printable(record["id"][:8]),
        )
    console = Console(markup=False)
    console.print(table)
    total = sum(counts.values())
    named = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    console.print(f"{total} verdicts in {history.path}: {named}", highlight=False, soft_wrap=True)


def _write(records: Iterator[dict[str, Any]], form: Format, file: TextIO) -> None:
    if form == "jsonl":
        for record in records:
            file.write(json.dumps(record, allow_nan=False) + "\n")
        return
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for record in records:
        writer.writerow(record)
