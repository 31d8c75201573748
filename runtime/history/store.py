"""The history's file: SQLite in WAL mode with synchronous=FULL, so that a commit is on disk when it returns.

with History.open(path) as history:
    history.append(entries)
    for record in history.records(Query(verdict="anomalous", limit=20)): ...
"""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ganspect.errors import OutputError, one_line
from ganspect.files import require_writable
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.query import ALL, Query
from ganspect.runtime.history.schema import bring_up_to_date

HISTORY = "history.sqlite"
_BUSY_MS = 5_000
_LOG_BYTES = 4 << 20
"""That the write-ahead log keeps once its content is in the file: a full disk makes it several times as large."""
_PAGE = 500


class History:
    """Verdicts on disk. May be used from several threads; each use has the file to itself.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take an open connection; `History.open` makes one."""
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "History":
        """Open the file, or create it.

        Args:
            path: of the file; its folder is created.
            read_only: open what is there, and change nothing: a station may be writing.

        Raises:
            OutputError: it cannot be created or written, is no history, or is one of a newer ganspect.
        """
        if not read_only:
            require_writable(path.absolute().parent)
        elif not path.is_file():
            raise OutputError(f"there is no history at {path}; give the data folder of a station that has run")
        try:
            target = f"{path.absolute().as_uri()}?mode={'rwc' if not read_only else _reading(path)}"
            connection = sqlite3.connect(target, uri=True, check_same_thread=False, isolation_level=None)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
                bring_up_to_date(connection, str(path))
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM verdicts LIMIT 1)")
        except sqlite3.Error as error:
            raise OutputError(
                f"{path} cannot be opened as a station's history ({one_line(error)}); move it away or free some space"
            ) from error
        return cls(path, connection)

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries on disk, all or none; when this returns they survive a power cut.

        Entries whose uid is there already are left out, so that repeating an append is harmless.

        Raises:
            OutputError: the disk is full, or the file cannot be written; none of them is kept.
        """
        rows = [_row(entry) for entry in entries]
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT INTO verdicts (uid, camera, timestamp_ns, verdict, score, start_score, threshold, total_ms,"
                    " record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING",
                    rows,
                )
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise OutputError(f"cannot write {self.path}: {one_line(error)}; free some space") from error

    def records(self, query: Query = ALL) -> Iterator[dict[str, Any]]:
        """Yield what the query chooses, oldest first, as `Entry.record` with `number`, `label` and `labelled_ns`.

        A page at a time, each read by itself: a reader that takes its time does not keep the file from being tidied up.
        """
        last, where, values = self._before(query), *query.where
        clause = f"{where} {'AND' if where else 'WHERE'} number > ? ORDER BY number LIMIT {_PAGE}"
        while True:
            with self._lock:
                rows = self._connection.execute(
                    f"SELECT number, label, labelled_ns, record FROM verdicts {clause}", (*values, last)
                ).fetchall()
            for number, label, labelled_ns, record in rows:
                yield {"number": number, **json.loads(record), "label": label, "labelled_ns": labelled_ns}
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def _before(self, query: Query) -> int:
        """Return the number after which a query's newest verdicts begin."""
        if query.limit is None:
            return 0
        where, values = query.where
        with self._lock:
            numbers = self._connection.execute(
                f"SELECT number FROM verdicts {where} ORDER BY number DESC LIMIT ?", (*values, query.limit)
            ).fetchall()
        return int(numbers[-1][0]) - 1 if numbers else 0

    def after(self, number: int, limit: int) -> list[tuple[int, str, str, str, str]]:
        """Return number, uid, camera, verdict and record (JSON) of up to `limit` verdicts after a number."""
        with self._lock:
            return self._connection.execute(
                "SELECT number, uid, camera, verdict, record FROM verdicts WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()

    def delivered(self, sink: str) -> int:
        """Return the number of the last verdict that a sink has delivered; a new one owes nothing of the past."""
        with self._lock:
            row = self._connection.execute("SELECT number FROM deliveries WHERE sink = ?", (sink,)).fetchone()
            if row is not None:
                return int(row[0])
            last = self._connection.execute("SELECT coalesce(max(number), 0) FROM verdicts").fetchone()[0]
            self._connection.execute("INSERT INTO deliveries VALUES (?, ?)", (sink, last))
            return int(last)

    def count_after(self, number: int, verdicts: Collection[str] = ()) -> int:
        """Return how many verdicts come after a number, of some kinds or (none given) of all: what a sink owes."""
        chosen = f" AND verdict IN ({', '.join('?' * len(verdicts))})" if verdicts else ""
        with self._lock:
            found = self._connection.execute(
                f"SELECT count(*) FROM verdicts WHERE number > ?{chosen}", (number, *verdicts)
            ).fetchone()
            return int(found[0])

    def note_delivered(self, sink: str, number: int) -> None:
        """Note how far a sink has come."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO deliveries VALUES (?, ?) ON CONFLICT (sink) DO UPDATE SET number = excluded.number",
                (sink, number),
            )

    def label(self, uid: str, label: str | None) -> bool:
        """Note what a person says of a verdict, `normal` or `anomalous`, or None; return whether it is there."""
        with self._lock:
            changed = self._connection.execute(
                "UPDATE verdicts SET label = ?, labelled_ns = ? WHERE uid = ?", (label, time.time_ns(), uid)
            )
            return changed.rowcount == 1

    def count(self, query: Query = ALL) -> dict[str, int]:
        """Return how many verdicts of each kind the query chooses."""
        where, values = query.where
        found = dict.fromkeys(("normal", "anomalous", "undecided"), 0)
        with self._lock:
            rows = self._connection.execute(f"SELECT verdict, count(*) FROM verdicts {where} GROUP BY verdict", values)
            return found | dict(rows.fetchall())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> "History":
        """Return the history."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


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


def _reading(path: Path) -> str:
    """Return how SQLite opens a history to read: where nobody writes and its folder is not ours, as it lies there."""
    idle = not path.with_name(f"{path.name}-wal").exists()
    return "ro&immutable=1" if idle and not os.access(path.parent, os.W_OK) else "ro"
