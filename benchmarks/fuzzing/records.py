"""What ganspect itself has written and reads again: results, curves, a station's history; and the times asked of it.

attempt(history(folder), content, sandbox)
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies
from hypothesis.strategies import DrawFn, SearchStrategy

from fuzzing.artefacts import entries, write_history
from fuzzing.target import Target
from fuzzing.values import NASTY_NUMBERS, changed_bytes_of, changed_json, hostile_texts, hostile_values
from ganspect.runtime.bench.curve import read_curve
from ganspect.runtime.history import History
from ganspect.runtime.history.command import read_time, show_history
from ganspect.runtime.results import RESULTS, require_ours

_SCHEMAS = (
    "PRAGMA user_version = 99",
    "PRAGMA user_version = -7",
    "PRAGMA user_version = 0",
    "PRAGMA application_id = 1",
    "DROP TABLE verdicts",
    "DROP TABLE deliveries",
    "DELETE FROM verdicts",
    "ALTER TABLE verdicts DROP COLUMN label",
    "ALTER TABLE verdicts RENAME COLUMN record TO other",
    "DROP TABLE verdicts; "
    "CREATE TABLE verdicts (number, uid, camera, timestamp_ns, verdict, label, labelled_ns, record)",
    "DROP TABLE verdicts; CREATE VIEW verdicts AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT x AS number, x AS uid, 'left' AS camera, x AS timestamp_ns, 'normal' AS verdict, '{}' AS record, "
    "NULL AS label, NULL AS labelled_ns FROM n WHERE x < 0",
    "CREATE TRIGGER slow BEFORE INSERT ON verdicts BEGIN SELECT RAISE(ABORT, 'no'); END",
    "UPDATE verdicts SET number = 9223372036854775807 WHERE number = 12",
    "UPDATE verdicts SET number = -number",
    "INSERT INTO deliveries VALUES ('x', 9223372036854775807)",
)
_COLUMNS = ("camera", "timestamp_ns", "score", "threshold", "total_ms", "label", "labelled_ns", "record", "uid")
_TIMES = (
    *(
        "2026-11-24T06:00",
        "2026-11-24",
        "30m",
        "7d",
        "999999d",
        "9999-12-31T23:59:59",
        "0001-01-01",
        "1969-12-31T00:00Z",
    ),
    *("2300-01-01", "2026-11-24T06:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59", "2026-02-30"),
)


def results(folder: Path) -> Target:
    """Return the target of results.jsonl, which `ganspect screen` looks at before it replaces a run."""
    place = folder / "results"
    place.mkdir()
    lines = [entry.record for entry in entries(3)]

    def run(text: bytes) -> None:
        (place / RESULTS).write_bytes(text)
        require_ours(place)

    return Target("results.jsonl", changed_json(lines), run)


def curve(folder: Path) -> Target:
    """Return the target of an evaluation's metrics.json, whose curve `ganspect bench` draws."""
    path = folder / "metrics.json"
    drawn = {"iterations": [1, 5, 20], "encoder_start": [0.8, 0.9, 0.9], "random_start": [0.5, 0.6, 0.7]}
    content = {"curve": drawn, "image": {"auroc": {"value": 0.9}}}

    def run(text: bytes) -> None:
        path.write_bytes(text)
        found = read_curve(path)
        [float(value) for value in (*found.iterations, *found.random_start, *(found.encoder_start or ()))]

    return Target("metrics.json", changed_json([content, {"curve": drawn | {"encoder_start": None}}]), run)


def history(folder: Path) -> Target:
    """Return the target of history.sqlite: shown in every form, then opened as a station does, which appends to it."""
    place = folder / "history"
    place.mkdir()
    path, work = place / "history.sqlite", folder / "work.sqlite"
    real = write_history(work)
    added = entries(1)

    def run(content: bytes) -> None:
        for left in place.iterdir():
            left.unlink()
        path.write_bytes(content)
        show_history(path)
        show_history(path, form="jsonl", out=place / "out.jsonl")
        show_history(path, form="csv", out=place / "out.csv", limit=5)
        with History.open(path) as opened:
            opened.append(added)
            opened.after(0, 3)
            opened.count_after(opened.delivered("jsonl"))
            opened.note_delivered("jsonl", 3)
            opened.label(added[0].uid, "anomalous")

    altered = _altered(work, real)
    return Target("history.sqlite", strategies.one_of(altered, altered, changed_bytes_of(strategies.just(real))), run)


def times(folder: Path) -> Target:
    """Return the target of times, read and asked of a history."""
    path = folder / "times.sqlite"
    write_history(path, 2)

    def run(given: tuple[str, str | None, int]) -> None:
        since, camera, limit = given
        read_time(since)
        show_history(path, since=since, camera=camera, limit=limit)

    stamps = strategies.datetimes().map(str) | strategies.datetimes(timezones=strategies.timezones()).map(str)
    ago = strategies.tuples(strategies.integers(0, 10**8).map(str), strategies.sampled_from("smhdwy")).map("".join)
    given = strategies.one_of(hostile_texts(), strategies.sampled_from(_TIMES), stamps, ago)
    limits = strategies.integers(1, 50) | strategies.sampled_from([int(n) for n in NASTY_NUMBERS[:15] if n > 0])
    return Target("times", strategies.tuples(given, hostile_texts() | strategies.none(), limits), run)


@strategies.composite
def _altered(draw: DrawFn, work: Path, real: bytes) -> bytes:
    """Draw a real history with other values in a row, or with another schema."""
    work.write_bytes(real)
    connection = sqlite3.connect(work)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for _ in range(draw(strategies.integers(1, 2))):
            try:
                _alter(draw, connection)
            except (sqlite3.Error, UnicodeError, OverflowError):
                connection.rollback()
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        return real
    finally:
        connection.close()
    return work.read_bytes()


def _alter(draw: DrawFn, connection: sqlite3.Connection) -> None:
    if draw(strategies.integers(0, 3)) == 0:
        connection.executescript(draw(strategies.sampled_from(_SCHEMAS)))
        return
    if draw(strategies.booleans()):
        value: Any = draw(changed_json([entry.record for entry in entries(3)]).filter(_short)).decode(errors="replace")
        column = "record"
    else:
        column = draw(strategies.sampled_from(_COLUMNS))
        value = draw(_cells(column))
    connection.execute(f"UPDATE verdicts SET {column} = ? WHERE number = ?", (value, draw(strategies.integers(1, 12))))
    connection.commit()


def _cells(column: str) -> SearchStrategy[Any]:
    numbers = strategies.sampled_from([number for number in NASTY_NUMBERS if abs(number) < 2**63])
    if column in ("timestamp_ns", "labelled_ns"):
        return numbers
    return strategies.one_of(numbers, hostile_texts(), hostile_values().map(json.dumps))


def _short(content: Sequence[int]) -> bool:
    return len(content) < 500_000
