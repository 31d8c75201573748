"""Verdicts as Parquet, for pandas, DuckDB or Spark: typed columns, a row group at a time, so that memory stays flat.

rows = write_parquet(history.records(query), Path("shift.parquet"))
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

_ROW_GROUP = 20_000
_TIME = pa.timestamp("ns", tz="UTC")
_REGION = pa.struct(
    [
        *((name, pa.int32()) for name in ("left_px", "top_px", "right_px", "bottom_px")),
        ("area_px", pa.int64()),
        ("peak", pa.float64()),
    ]
)
_PLAIN = {
    "number": pa.int64(),
    "id": pa.string(),
    "camera": pa.string(),
    "sequence": pa.int64(),
    "signal": pa.string(),
    "bundle": pa.string(),
    "source": pa.string(),
    "frame": pa.int64(),
    "source_timestamp_ns": pa.int64(),
    "mode": pa.string(),
    "verdict": pa.string(),
    "anomalous": pa.bool_(),
    "score": pa.float64(),
    "start_score": pa.float64(),
    "threshold": pa.float64(),
    "outcome": pa.string(),
    "steps": pa.int64(),
    "label": pa.string(),
}
_LATENCIES = ("capture", "waited", "preprocess", "score", "search", "total")
_ELSEWHERE = frozenset(("timestamp_ns", "labelled_ns", "latency_ms", "regions"))

SCHEMA = pa.schema(
    [
        ("timestamp", _TIME),
        *_PLAIN.items(),
        ("labelled", _TIME),
        *((f"latency_{name}_ms", pa.float64()) for name in _LATENCIES),
        ("regions", pa.list_(_REGION)),
        ("other", pa.string()),
    ]
)
"""The columns; `other` holds as JSON what a record has beside them, null where that is nothing."""


def write_parquet(records: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write records into a file, and return how many.

    Args:
        records: as `History.records` yields them.
        path: of the file, which is made or replaced; whole only when this returns.

    Raises:
        OSError: it cannot be written.
    """
    count, rows = 0, map(_row, records)
    with path.open("wb") as file, ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, SCHEMA), row_group_size=_ROW_GROUP)
            count += len(group)
    return count


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while group := list(islice(rows, _ROW_GROUP)):
        yield group


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    latency_ms = record["latency_ms"]
    other = {key: value for key, value in record.items() if key not in _PLAIN and key not in _ELSEWHERE}
    return {
        "timestamp": record["timestamp_ns"],
        **{name: record.get(name) for name in _PLAIN},
        "labelled": record["labelled_ns"],
        **{f"latency_{name}_ms": latency_ms.get(name) for name in _LATENCIES},
        "regions": [_region(region) for region in record["regions"]],
        "other": json.dumps(other) if other else None,
    }


def _region(region: Mapping[str, Any]) -> dict[str, Any]:
    left, top, right, bottom = region["xyxy"]
    sides = {"left_px": left, "top_px": top, "right_px": right, "bottom_px": bottom}
    return {**sides, "area_px": region["area_px"], "peak": region["peak"]}
