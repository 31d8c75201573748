"""The history's file as SQLite has it: WAL mode with synchronous=FULL, so that a commit is on disk when it returns.

with HistoryFile.open(path) as file:
    with file.writing() as connection: ...
    file.select("SELECT count(*) FROM verdicts")
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ganspect.errors import OutputError, one_line
from ganspect.files import require_writable
from ganspect.runtime.history.schema import NO_HISTORY, bring_up_to_date, require_history, require_ours

_BUSY_MS = 5_000
_LOG_BYTES = 4 << 20
"""That the write-ahead log keeps once its content is in the file: a full disk makes it several times as large."""

_File = TypeVar("_File", bound="HistoryFile")


@dataclass(frozen=True)
class Size:
    """The history's file.

    Attributes:
        page_bytes: of one page.
        pages: in the file.
        free: pages of them that hold nothing.
    """

    page_bytes: int
    pages: int
    free: int

    @property
    def used_bytes(self) -> int:
        """Return what is in use."""
        return self.page_bytes * (self.pages - self.free)


class HistoryFile:
    """An open file. May be used from several threads; each use has it to itself.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take an open connection; `open` makes one."""
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls: type[_File], path: Path, *, read_only: bool = False) -> _File:
        """Open the file, or create it.

        Args:
            path: of the file; its folder is created.
            read_only: open what is there, and change nothing: a station may be writing.

        Raises:
            OutputError: it cannot be created or written, is no history, or is one of a newer ganspect.
        """
        if not read_only:
            require_writable(path.absolute().parent)
        elif not os.path.isfile(path):
            raise OutputError(f"there is no history at {path}; give the data folder of a station that has run")
        target = f"{path.absolute().as_uri()}?mode={'rwc' if not read_only else _reading(path)}"
        with contextlib.ExitStack() as closing:
            try:
                connection = sqlite3.connect(target, uri=True, check_same_thread=False, isolation_level=None)
                closing.callback(connection.close)
                _prepare(connection, str(path), read_only=read_only)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise OutputError(_refused(path, error, read_only=read_only)) from error
            closing.pop_all()
        return cls(path, connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Have the file alone for a transaction, which an error undoes.

        Raises:
            OutputError: the file cannot be written.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise OutputError(f"cannot write {self.path}: {one_line(error)}; free some space") from error
                raise

    def give_back(self, pages: int) -> None:
        """Return free pages at the file's end to the disk, so many at most; in files of the first version none.

        Raises:
            OutputError: the file cannot be written.
        """
        with self.writing() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()

    def size(self) -> Size:
        """Return how large the file is, and how much of it is in use."""
        (page_bytes,), (pages,), (free,) = (
            self.select(f"PRAGMA {name}")[0] for name in ("page_size", "page_count", "freelist_count")
        )
        return Size(page_bytes, pages, free)

    def select(self, question: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a SELECT or a PRAGMA; who wants many asks page by page.

        Raises:
            OutputError: the file cannot be read.
        """
        with self.using() as connection:
            return connection.execute(question, values).fetchall()

    @contextlib.contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Have the file alone, for one statement.

        Raises:
            OutputError: it is damaged, or cannot be read or written.
        """
        with self._lock:
            try:
                yield self._connection
            except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
                raise OutputError(f"{self.path} cannot be used ({one_line(error)}); is it damaged, or full?") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self: _File) -> _File:
        """Return the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _prepare(connection: sqlite3.Connection, name: str, *, read_only: bool) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA trusted_schema = OFF")
    if read_only:
        require_history(connection, name)
    require_ours(connection, name)
    if not read_only:
        # Only a new file heeds it, and only before WAL; an older one uses the pages again that pruning frees.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        bring_up_to_date(connection, name)
    connection.execute("SELECT count(*) FROM (SELECT 1 FROM verdicts LIMIT 1)")


def _refused(path: Path, error: Exception, *, read_only: bool) -> str:
    reason = one_line(error)
    if not read_only:
        return f"{path} cannot be opened as a station's history ({reason}); move it away or free some space"
    if "not a database" in reason:
        return NO_HISTORY.format(name=path)
    return f"{path} cannot be opened as a station's history ({reason}); is it damaged, or may you not read it?"


def _reading(path: Path) -> str:
    """Return how SQLite opens a history to read: where nobody writes and its folder is not ours, as it lies there."""
    idle = not path.with_name(f"{path.name}-wal").exists()
    return "ro&immutable=1" if idle and not os.access(path.parent, os.W_OK) else "ro"
