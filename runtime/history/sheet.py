"""Verdicts as CSV for a spreadsheet: times that a person reads, numbers that a spreadsheet does not round.

count = write_sheet(history.records(query), sys.stdout)
"""

import csv
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from ganspect.runtime.history.local import local_time

COLUMNS = (
    *("time", "number", "id", "camera", "sequence", "signal", "timestamp_ns", "verdict", "score", "start_score"),
    *("threshold", "outcome", "steps", "latency_ms", "label", "labelled", "source", "bundle"),
)
"""In order. `time` and `labelled` are ISO 8601 with the local zone; `timestamp_ns` is the former to the nanosecond,
which a spreadsheet rounds. `latency_ms` is from the frame's arrival to its verdict. The JSON lines have everything."""


def write_sheet(records: Iterable[Mapping[str, Any]], file: TextIO) -> int:
    """Write a header and a line for each record, and return how many records there were.

    Args:
        records: as `History.records` yields them.
        file: opened with `newline=""`.
    """
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    count = 0
    for count, record in enumerate(records, start=1):  # noqa: B007
        writer.writerow({**record, **_readable(record)})
    return count


def _readable(record: Mapping[str, Any]) -> dict[str, object]:
    labelled_ns = record["labelled_ns"]
    return {
        "time": _iso(record["timestamp_ns"]),
        "latency_ms": record["latency_ms"]["total"],
        "labelled": _iso(labelled_ns) if isinstance(labelled_ns, int) else None,
    }


def _iso(timestamp_ns: int) -> str:
    return local_time(timestamp_ns).isoformat(timespec="milliseconds")
