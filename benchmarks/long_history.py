"""What does a history of a million verdicts cost: to be written to while old ones are removed, and to be reported on?

    python benchmarks/long_history.py
    python benchmarks/long_history.py --verdicts 20000 --seconds 2 --out /tmp/long

A history is filled, half of it with verdicts that are older than they are kept. `ganspect history --format report`
makes the page of all of them in a process of its own, whose time and memory are taken. Then verdicts are recorded at a
camera's pace, first alone and then while the old half is removed: how long each takes to be on disk is measured both
ways in the same run. The last line is the result as JSON; the status is 1 if the old half is not gone in the end.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from station_rig.process import MAIN, ROOT

from ganspect import __version__
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.progress import progress_bar
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.recorder import Kept, Recorder
from ganspect.runtime.history.retention import Retention
from ganspect.runtime.history.settings import HistorySettings
from ganspect.runtime.history.store import HISTORY, History
from ganspect.runtime.machine import machine

KEEP_DAYS = 90.0
_CAMERAS = ("left", "right")
_PER_S = 30.0
_AT_ONCE = 5_000
_DAY_NS = 86_400 * 10**9
_AT_MOST_S = 3600.0


def verdict(random: np.random.Generator, number: int, timestamp_ns: int) -> Entry:
    """Return a verdict as a station has it, one in fifty anomalous."""
    score = round(float(random.gamma(8, 0.02)), 6)
    uid, anomalous = uuid.UUID(bytes=random.bytes(16)).hex, bool(random.random() < 0.02)
    camera, kind = _CAMERAS[number % 2], "anomalous" if anomalous else "normal"
    latency_ms = {"preprocess": 1.2, "score": 9.8, "search": 0.0, "waited": 3.4, "total": 14.4 + 20 * score}
    record = {
        "id": uid,
        "camera": camera,
        "sequence": number // 2,
        "signal": None,
        "bundle": "3f2a90d14b7c58e6",
        "source": "rtsp://10.0.0.5/line3/left",
        "index": number // 2,
        "timestamp_ns": timestamp_ns,
        "verdict": kind,
        "anomalous": anomalous,
        "score": score + 0.3 * anomalous,
        "start_score": score,
        "threshold": 0.35,
        "outcome": "complete" if anomalous else "cleared",
        "steps": 8 if anomalous else 1,
        "regions": [],
        "latency_ms": latency_ms,
        "mode": "search",
        "source_timestamp_ns": timestamp_ns,
    }
    return Entry(uid, camera, timestamp_ns, kind, record)


def fill(history: History, count: int) -> None:
    """Write so many verdicts, the first half from the day before they are too old, the rest from the last day."""
    random, now_ns = np.random.default_rng(5), time.time_ns()
    old_ns, half = now_ns - round((KEEP_DAYS + 1) * _DAY_NS), count // 2
    with progress_bar() as progress:
        task = progress.add_task("filling", total=count, detail="")
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(count, first + _AT_ONCE))
            step_ns = _DAY_NS // (half + 2)
            times = [old_ns + n * step_ns if n < half else now_ns - (count - n) * step_ns for n in numbers]
            history.append([verdict(random, n, at) for n, at in zip(numbers, times, strict=True)])
            progress.advance(task, len(numbers))


def report(folder: Path) -> dict[str, float]:
    """Make the report of everything in a process of its own; return its time and the most memory that it took."""
    asked = ("history", str(folder), "--format", "report", "--out", str(folder / "report.html"))
    begin_s = time.monotonic()
    process = subprocess.Popen([sys.executable, *MAIN, *asked], cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the report ended with status {process.returncode}")
    return {"seconds": round(time.monotonic() - begin_s, 1), "memory_mb": round(used.ru_maxrss / 1024)}


class Commits:
    """How long verdicts take from the station's loop to the disk, recorded at a camera's pace."""

    def __init__(self, history: History) -> None:
        """Begin with none."""
        self._history = history
        self._took_ms: list[float] = []
        self._random = np.random.default_rng(6)  # one for all passes: a verdict whose id is there is not written again

    def until(self, done: Callable[[], bool]) -> dict[str, float]:
        """Record until it is so; return how many there were and their percentiles, in ms."""
        self._took_ms = []
        never, newest = threading.Event(), self._newest()
        with Recorder(self._history, self._kept) as recorder:
            number = 0
            while not done():
                now_ns = time.time_ns()
                recorder.submit(verdict(self._random, number, now_ns), time.perf_counter_ns())
                number += 1
                never.wait(1 / _PER_S)
        if (written := self._newest() - newest) != len(self._took_ms):
            raise RuntimeError(f"{len(self._took_ms)} verdicts were recorded and {written} are on disk")
        p50, p99 = (round(float(found), 2) for found in np.percentile(self._took_ms, (50, 99)))
        return {"verdicts": len(self._took_ms), "p50_ms": p50, "p99_ms": p99}

    def _newest(self) -> int:
        return int(self._history.select("SELECT coalesce(max(number), 0) FROM verdicts")[0][0])

    def _kept(self, batch: Sequence[Kept]) -> None:
        now_ns = time.perf_counter_ns()
        self._took_ms += [(now_ns - kept.ticket) / 1e6 for kept in batch]


def prune(history: History, commits: Commits, old: int) -> dict[str, Any]:
    """Remove the old half while verdicts are recorded."""
    begin_s = time.monotonic()
    took_s: list[float] = []
    with Retention(history, HistorySettings(keep_days=KEEP_DAYS), every_s=_AT_MOST_S) as retention:

        def done() -> bool:
            removed = retention.status().removed
            if removed >= old and not took_s:
                took_s.append(time.monotonic() - begin_s)
            return bool(took_s) or time.monotonic() - begin_s > _AT_MOST_S

        found = commits.until(done)
        removed = retention.status().removed
    seconds = took_s[0] if took_s else _AT_MOST_S
    return {"removed": removed, "removed_per_s": round(removed / seconds), "commits": found}


def run(verdicts: int, seconds: float, out: Path) -> dict[str, Any]:
    """Measure, write `out`/long_history.json, print the JSON, and return it."""
    require_writable(out)
    with tempfile.TemporaryDirectory(prefix="ganspect-history-") as place:
        folder = Path(place)
        with History.open(folder / HISTORY) as history:
            fill(history, verdicts)
            size_mb = history.size().used_bytes / 2**20
            made = report(folder)
            commits, begin_s = Commits(history), time.monotonic()
            alone = commits.until(lambda: time.monotonic() - begin_s > seconds)
            pruned = prune(history, commits, verdicts // 2)
    content = {
        "benchmark": "long_history",
        "verdicts": verdicts,
        "bytes_per_verdict": round(size_mb * 2**20 / verdicts),
        "report": made,
        "commits_alone": alone,
        "while_removing": pruned,
        "p99_ratio": round(pruned["commits"]["p99_ms"] / alone["p99_ms"], 2),
        "environment": {"ganspect": __version__, "sqlite": sqlite3.sqlite_version, **machine()},
    }
    write_json(out / "long_history.json", content)
    print(json.dumps(content))
    return content


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 if the old half is not gone, 2 on bad input."""
    parser = argparse.ArgumentParser(description="A long history: written to while pruned, and reported on.")
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of recording without pruning")
    parser.add_argument("--out", type=Path, default=Path("out/long_history"), metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        if given.verdicts < 1000 or given.seconds < 1:
            raise ConfigError("--verdicts is 1000 or more and --seconds 1 or more; less tells nothing")
        content = run(given.verdicts, given.seconds, given.out)
    except GanspectError as error:
        print(f"long_history: {error}", file=sys.stderr)
        return 2
    return 0 if content["while_removing"]["removed"] == given.verdicts // 2 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
