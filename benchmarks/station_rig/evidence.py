"""What somebody outside of a station has seen of it: verdicts in its history, and deliveries, each with its time.

witness = Witness(Path("data/history.sqlite"))
witness.wait_for(lambda seen: seen.camera == "line", since_s=time.monotonic(), timeout_s=10)
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ganspect.errors import GanspectError
from ganspect.runtime.history import History

_LOOK_S = 0.01


@dataclass(frozen=True)
class Seen:
    """A verdict that was acknowledged.

    Attributes:
        at_s: `time.monotonic()` when it was seen.
        uid: its id.
        camera: that it is of.
        verdict: `normal`, `anomalous` or `undecided`.
        timestamp_ns: time of day when the station got the frame.
        frame: its number since the camera was opened.
    """

    at_s: float
    uid: str
    camera: str
    verdict: str
    timestamp_ns: int
    frame: int


class Log:
    """Acknowledgements in order; may be added to from several threads."""

    def __init__(self) -> None:
        """Begin empty."""
        self.seen: list[Seen] = []
        self.lines: list[str] = []

    def hear(self, body: bytes) -> None:
        """Note a delivery."""
        at_s, line = time.monotonic(), body.decode()
        self.add(at_s, json.loads(line))
        self.lines.append(line)

    def add(self, at_s: float, record: dict[str, Any]) -> None:
        """Note a verdict."""
        keys = ("id", "camera", "verdict", "timestamp_ns", "frame")
        self.seen.append(Seen(at_s, *(record[key] for key in keys)))

    def wait_for(self, matches: Callable[[Seen], bool], *, since: int, timeout_s: float) -> Seen | None:
        """Return the first match at or after an index, or None when there was none in time."""
        end_s, index = time.monotonic() + timeout_s, since
        while time.monotonic() < end_s:
            while index < len(self.seen):
                if matches(self.seen[index]):
                    return self.seen[index]
                index += 1
            time.sleep(_LOOK_S / 2)
        return None

    def longest_gap_s(self, matches: Callable[[Seen], bool]) -> float:
        """Return the longest time between two matches that follow each other."""
        at_s = [seen.at_s for seen in list(self.seen) if matches(seen)]
        return max((after - before for before, after in pairwise(at_s)), default=0.0)


class Witness(Log):
    """Reads a history a hundred times a second, as another process may while the station writes."""

    def __init__(self, path: Path) -> None:
        """Begin; the history need not be there yet."""
        super().__init__()
        self._path = path
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join(5)

    def _run(self) -> None:
        number = 0
        while not self._ending.is_set():
            # Opening and reading may fail for a moment while a station is killed and another one begins.
            with contextlib.suppress(GanspectError, sqlite3.Error), History.open(self._path, read_only=True) as history:
                while not self._ending.wait(_LOOK_S):
                    rows = history.after(number, 1000)
                    at_s = time.monotonic()
                    for *_, record in rows:
                        self.add(at_s, json.loads(record))
                    number = rows[-1][0] if rows else number
            self._ending.wait(_LOOK_S)


def read_lines(folder: Path) -> tuple[list[str], int]:
    """Return the lines of a `jsonl` sink, oldest first, and how many were torn by the end of a process."""
    lines: list[str] = []
    torn = 0
    for path in [*sorted(folder.glob("verdicts-*.jsonl")), folder / "verdicts.jsonl"]:
        for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
            try:
                json.loads(line)
            except ValueError:
                torn += bool(line)
            else:
                lines.append(line)
    return lines, torn


def read_history(path: Path) -> Sequence[dict[str, Any]]:
    """Return all records of a history."""
    with History.open(path, read_only=True) as history:
        return list(history.records())
