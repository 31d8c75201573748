"""Tables of the history, by version; an older file is brought up to date when it is opened.

`verdicts` is only appended to, and pruned from its old end; a number is never given twice. A sink that sends verdicts
elsewhere keeps in `deliveries` how far it has come, so what it owes is what comes after, and survives a restart.
"""

import sqlite3
import time

from ganspect.errors import OutputError

VERSION = 2

_STEPS = {
    1: """
    CREATE TABLE verdicts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        timestamp_ns INTEGER NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('normal', 'anomalous', 'undecided')),
        score REAL,
        start_score REAL,
        threshold REAL NOT NULL,
        total_ms REAL NOT NULL,
        record TEXT NOT NULL,
        label TEXT CHECK (label IN ('normal', 'anomalous')),
        labelled_ns INTEGER
    ) STRICT;
    CREATE INDEX verdicts_by_time ON verdicts (timestamp_ns);
    CREATE INDEX verdicts_by_camera ON verdicts (camera, timestamp_ns);
    CREATE TABLE deliveries (sink TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
    """,
    # A report over a week reads this index alone, a tenth of what the records take.
    2: """
    DROP INDEX verdicts_by_camera;
    CREATE INDEX verdicts_by_camera
        ON verdicts (camera, timestamp_ns, verdict, score, threshold, total_ms, label);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
}

NO_HISTORY = "{name} is no station's history; give the folder that the station file names as 'data'"
_BEING_MADE_S = 1.0

_FOREIGN = """
    SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger') OR type = 'table' AND name NOT LIKE 'sqlite_%'
    AND NOT (sql LIKE 'CREATE TABLE %' AND upper(sql) LIKE '%STRICT')
"""


def require_history(connection: sqlite3.Connection, name: str) -> None:
    """Prove that a file has the table of verdicts; an empty one may be a station's that makes it in this moment.

    Raises:
        OutputError: it has none.
    """
    end_s = time.monotonic() + _BEING_MADE_S
    while "verdicts" not in (tables := _tables(connection)):
        if tables:
            raise OutputError(NO_HISTORY.format(name=name))
        if time.monotonic() > end_s:
            raise OutputError(f"{name} is empty; if its station has just been started, ask again once it runs")
        time.sleep(0.02)


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


def require_ours(connection: sqlite3.Connection, name: str) -> None:
    """Prove that a file has plain tables only: views and triggers of a file from elsewhere may run without end.

    Raises:
        OutputError: it has other things, or was written by a newer ganspect.
    """
    _known_version(connection, name)
    if connection.execute(_FOREIGN).fetchone()[0]:
        raise OutputError(f"{name} has views, triggers or tables that no history has; move it away")


def _known_version(connection: sqlite3.Connection, name: str) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= VERSION:
        raise OutputError(
            f"{name} was written by a newer ganspect (schema {version}, this one knows {VERSION}); upgrade ganspect"
        )
    return version


def bring_up_to_date(connection: sqlite3.Connection, name: str) -> None:
    """Create the tables, or change those of an older version.

    Raises:
        OutputError: the file was written by a newer ganspect.
    """
    version = _known_version(connection, name)
    for step in range(version + 1, VERSION + 1):
        connection.executescript(f"BEGIN; {_STEPS[step]} PRAGMA user_version = {step}; COMMIT;")
