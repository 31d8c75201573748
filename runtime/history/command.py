"""`ganspect history`: verdicts of a station, on the screen, as JSON lines, CSV or Parquet, or as a report.

show_history(Path("station"), camera="left", verdict="anomalous", since="2h")
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from rich.console import Console

from ganspect.errors import ConfigError
from ganspect.extras import extra
from ganspect.files import new_file
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.sheet import write_sheet
from ganspect.runtime.history.store import HISTORY, History
from ganspect.runtime.history.table import counted, print_table

Format: TypeAlias = Literal["table", "jsonl", "csv", "parquet", "report"]
Label: TypeAlias = Literal["normal", "anomalous", "none"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def show_history(
    data: Path,
    *,
    camera: str | None = None,
    verdict: str | None = None,
    label: Label | None = None,
    disagree: bool = False,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    uid_begin: str | None = None,
    form: Format = "table",
    out: Path | None = None,
) -> None:
    """Print verdicts, or write them into a file and print how many they were.

    Args:
        data: a station's data folder, or its history.sqlite; a running station is not disturbed.
        camera: its name; None: all.
        verdict: of one kind; None: all.
        label: what a person said, `none`: nothing; None: all.
        disagree: only those whose label contradicts the verdict.
        since: time of day in ISO 8601, or how long ago: `30m`, `2h`, `7d`.
        until: likewise.
        limit: how many at most, the newest.
        uid_begin: first signs of an id, such as the table and the report show.
        form: a table, JSON lines, CSV, Parquet, or a report in HTML.
        out: file to write, whole or not at all; None: standard output.

    Raises:
        ConfigError: a time that is none, a camera or an id that the history does not have, or options that do not go
            together.
        OutputError: there is no history, or `out` cannot be written.
        MissingDependencyError: a package for Parquet or the report is not installed.
    """
    period = (read_time(since), read_time(until))
    begin = None if uid_begin is None else uid_begin.lower()
    query = Query(camera, verdict, *period, limit=limit, label=label, disagree=disagree, uid_begin=begin)
    _require_sense(query, form, out)
    path = data / HISTORY if os.path.isdir(data) else data
    with History.open(path, read_only=True) as history:
        _require_known(history, query)
        if form == "table":
            print_table(history, query)
        elif out is None:
            _write(history.records(query), form, sys.stdout)
        else:
            count = _export(history, query, form, out)
            Console().print(counted(count, out), highlight=False, markup=False, soft_wrap=True)


def _require_sense(query: Query, form: Format, out: Path | None) -> None:
    if form == "table" and out is not None:
        raise ConfigError(f"--out {out} was given for a table, which is printed; add --format csv, jsonl or parquet")
    if form in ("parquet", "report") and out is None:
        raise ConfigError(f"--format {form} makes a file, and no name was given for it; add --out FILE")
    if form == "report" and (query.verdict or query.limit or query.label or query.disagree or query.uid_begin):
        raise ConfigError(
            "a report counts all verdicts of its period; leave out --verdict, --label, --disagree, --limit and --id"
        )
    if query.since_ns is not None and query.until_ns is not None and query.since_ns >= query.until_ns:
        raise ConfigError("--since is not before --until; give an earlier --since")


def _require_known(history: History, query: Query) -> None:
    if query.uid_begin is not None and not sum(history.count(Query(uid_begin=query.uid_begin)).values()):
        raise ConfigError(
            f"{history.path} has no verdict whose id begins with {query.uid_begin}; give the first signs of one it has "
            "(old ones are removed where the station file says so)"
        )
    known = [] if query.camera is None else history.cameras()
    if known and query.camera not in known:
        raise ConfigError(
            f"{history.path} has no verdict of a camera {query.camera!r}; give one of those it has: {', '.join(known)}"
        )


def _export(history: History, query: Query, form: Format, out: Path) -> int:
    """Write a file, and return how many verdicts went into it."""
    if form == "report":
        with extra("report"):
            from ganspect.runtime.history.report import write_report

        return write_report(history, query, out)
    if form == "parquet":
        with extra("parquet"):
            from ganspect.runtime.history.parquet import write_parquet

        with new_file(out) as partial:
            return write_parquet(history.records(query), partial)
    with new_file(out) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        return _write(history.records(query), form, file)


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


def _write(records: Iterator[dict[str, Any]], form: Format, file: TextIO) -> int:
    if form == "csv":
        return write_sheet(records, file)
    count = 0
    for count, record in enumerate(records, start=1):  # noqa: B007
        file.write(json.dumps(record, allow_nan=False) + "\n")
    return count
