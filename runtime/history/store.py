"""The history: verdicts in a SQLite file, which several threads, and readers in other processes, use at once.

with History.open(path) as history:
    history.append(entries)
    for record in history.records(Query(verdict="anomalous", limit=20)): ...
"""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ganspect.errors import EntryError, one_line
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.file import HistoryFile
from ganspect.runtime.history.query import ALL, Query
from ganspect.runtime.history.reading import read_record

HISTORY = "history.sqlite"
_PAGE = 500
# Finds each camera by one look into the index, where DISTINCT would read millions of rows.
_CAMERAS = """
    WITH RECURSIVE found (camera) AS (
        SELECT min(camera) FROM verdicts
        UNION ALL
        SELECT (SELECT min(camera) FROM verdicts WHERE camera > found.camera) FROM found WHERE camera IS NOT NULL
    )
    SELECT camera FROM found WHERE camera IS NOT NULL
"""
_NEVER = (
    *(sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
)
"""What an entry causes by its values, and will cause again: rules of the table, no JSON, no text, numbers too large."""


class History(HistoryFile):
    """Verdicts on disk. May be used from several threads; each use has the file to itself."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries on disk, all or none; when this returns they survive a power cut.

        Entries whose uid is there already are left out, so that repeating an append is harmless.

        Raises:
            EntryError: one of them can never be written; none of them is kept.
            OutputError: the disk is full, or the file cannot be written; none of them is kept.
        """
        with self.writing() as connection:
            try:
                connection.executemany(
                    "INSERT INTO verdicts (uid, camera, timestamp_ns, verdict, score, start_score, threshold, total_ms,"
                    " record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING",
                    map(_row, entries),
                )
            except _NEVER as error:
                reason = f"{type(error).__name__}: {one_line(error)}"
                raise EntryError(f"cannot write {self.path}: {reason}; it is put aside") from error

    def remove(self, numbers: Sequence[int], *, labelled: bool) -> int:
        """Take verdicts out, in one transaction; their numbers are not given again.

        Args:
            numbers: of the verdicts.
            labelled: whether those go too that a person has labelled, also a moment ago.

        Returns:
            How many were taken out.

        Raises:
            OutputError: the file cannot be written; all are still there.
        """
        kept = "" if labelled else " AND label IS NULL"
        with self.writing() as connection:
            removed = connection.executemany(
                f"DELETE FROM verdicts WHERE number = ?{kept}", [(number,) for number in numbers]
            )
            return removed.rowcount

    def note(self, name: str, value: str) -> None:
        """Note a fact about the station, such as its name, for reports.

        Raises:
            OutputError: the file cannot be written.
        """
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def noted(self, name: str) -> str | None:
        """Return a fact that was noted; None: none was, also in a file of the first version."""
        if not self.select("SELECT 1 FROM sqlite_schema WHERE name = 'facts'"):
            return None
        found = self.select("SELECT value FROM facts WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def cameras(self) -> list[str]:
        """Return the names of all cameras that have a verdict."""
        return [str(name) for (name,) in self.select(_CAMERAS)]

    def records(self, query: Query = ALL) -> Iterator[dict[str, Any]]:
        """Yield what the query chooses, oldest first, as `Entry.record` with `number`, `label` and `labelled_ns`.

        A page at a time, each read by itself: a reader that takes its time does not keep the file from being tidied up.
        """
        last, where, values = self._before(query), *query.where
        clause = f"{where} {'AND' if where else 'WHERE'} number > ? ORDER BY number LIMIT {_PAGE}"
        while True:
            with self.using() as connection:
                rows = connection.execute(
                    f"SELECT number, label, labelled_ns, record FROM verdicts {clause}", (*values, last)
                ).fetchall()
            for number, label, labelled_ns, record in rows:
                content = read_record(record, f"verdict {number} in {self.path}")
                yield {"number": number, **content, "label": label, "labelled_ns": labelled_ns}
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def _before(self, query: Query) -> int:
        """Return the number after which a query's newest verdicts begin."""
        if query.limit is None:
            return 0
        where, values = query.where
        with self.using() as connection:
            numbers = connection.execute(
                f"SELECT number FROM verdicts {where} ORDER BY number DESC LIMIT ?", (*values, query.limit)
            ).fetchall()
        return int(numbers[-1][0]) - 1 if numbers else 0

    def after(self, number: int, limit: int) -> list[tuple[int, str, str, str, str]]:
        """Return number, uid, camera, verdict and record (JSON) of up to `limit` verdicts after a number."""
        with self.using() as connection:
            return connection.execute(
                "SELECT number, uid, camera, verdict, record FROM verdicts WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()

    def delivered(self, sink: str) -> int:
        """Return the number of the last verdict that a sink has delivered; a new one owes nothing of the past."""
        with self.using() as connection:
            row = connection.execute("SELECT number FROM deliveries WHERE sink = ?", (sink,)).fetchone()
            if row is not None:
                return int(row[0])
            last = connection.execute("SELECT coalesce(max(number), 0) FROM verdicts").fetchone()[0]
            connection.execute("INSERT INTO deliveries VALUES (?, ?)", (sink, last))
            return int(last)

    def count_after(self, number: int, verdicts: Collection[str] = ()) -> int:
        """Return how many verdicts come after a number, of some kinds or (none given) of all: what a sink owes."""
        chosen = f" AND verdict IN ({', '.join('?' * len(verdicts))})" if verdicts else ""
        with self.using() as connection:
            found = connection.execute(
                f"SELECT count(*) FROM verdicts WHERE number > ?{chosen}", (number, *verdicts)
            ).fetchone()
            return int(found[0])

    def note_delivered(self, sink: str, number: int) -> None:
        """Note how far a sink has come."""
        with self.using() as connection:
            connection.execute(
                "INSERT INTO deliveries VALUES (?, ?) ON CONFLICT (sink) DO UPDATE SET number = excluded.number",
                (sink, number),
            )

    def label(self, uid: str, label: str | None) -> bool:
        """Note what a person says of a verdict, `normal` or `anomalous`, or None; return whether it is there."""
        with self.using() as connection:
            changed = connection.execute(
                "UPDATE verdicts SET label = ?, labelled_ns = ? WHERE uid = ?", (label, time.time_ns(), uid)
            )
            return changed.rowcount == 1

    def count(self, query: Query = ALL) -> dict[str, int]:
        """Return how many verdicts of each kind the query chooses."""
        where, values = query.where
        found = dict.fromkeys(("normal", "anomalous", "undecided"), 0)
        with self.using() as connection:
            rows = connection.execute(f"SELECT verdict, count(*) FROM verdicts {where} GROUP BY verdict", values)
            return found | dict(rows.fetchall())


def _row(entry: Entry) -> tuple[Any, ...]:
    record = entry.record
    return (
        entry.uid,
        entry.camera,
        entry.timestamp_ns,
        entry.verdict,
        record["score"],
        record["start_score"],
        record["threshold"],
        record["latency_ms"]["total"],
        entry.line,
    )
