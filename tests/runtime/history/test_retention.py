import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ganspect.errors import OutputError
from ganspect.runtime.history import History, Query
from ganspect.runtime.history.clock import DoubtedClock
from ganspect.runtime.history.retention import Retention
from ganspect.runtime.history.settings import HistorySettings
from tests.runtime.history.entries import entry

ROOT = Path(__file__).resolve().parents[3]
DAY_NS = 86_400 * 10**9
NOW_NS = 2_000_000_000 * 10**9


class Clock:
    """A time of day and a steady clock that a test moves."""

    def __init__(self) -> None:
        self.wall = NOW_NS
        self.steady = 0

    def doubted(self, known_ns: int | None) -> DoubtedClock:
        return DoubtedClock(known_ns, wall_ns=lambda: self.wall, steady_ns=lambda: self.steady)


def aged(number: int, days: float, **keys: str):
    return replace(entry(number, **keys), timestamp_ns=NOW_NS - round(days * DAY_NS))


@pytest.fixture
def history(tmp_path):
    with History.open(tmp_path / "history.sqlite") as opened:
        yield opened


@pytest.fixture
def prune(history, monkeypatch):
    """Return a function that prunes once, in the thread that a station has for it, and returns what it said."""

    monkeypatch.setattr("ganspect.runtime.history.retention._PAUSES", 0)

    def once(clock=None, sinks=(), **keys):
        done = threading.Event()

        class Once(Retention):
            def _give_back(self):
                super()._give_back()
                done.set()

        with Once(history, HistorySettings(**keys), sinks=sinks, clock=clock or Clock().doubted(NOW_NS)) as retention:
            assert done.wait(10)
        return retention.status()

    return once


def there(history: History) -> list[int]:
    return [record["sequence"] for record in history.records()]


def test_what_is_older_than_it_is_kept_goes_and_no_number_comes_back(history, prune):
    history.append([aged(number, days=10 - number) for number in range(10)])
    assert prune(keep_days=4.5).removed == 6
    assert there(history) == [6, 7, 8, 9]
    prune(keep_days=0.001)
    assert there(history) == []
    history.append([aged(10, days=0)])
    assert [record["number"] for record in history.records()] == [11]


def test_without_an_age_or_a_quota_nothing_is_touched(history):
    history.append([aged(0, days=9_000)])
    retention = Retention(history, HistorySettings())
    assert not retention._thread.is_alive()
    retention.close()


@pytest.mark.parametrize(("keep", "left"), [(True, [1]), (False, [])])
def test_what_a_person_labelled_is_kept_if_so_wished(history, prune, keep, left):
    given = [aged(number, days=9) for number in range(3)]
    history.append(given)
    history.label(given[1].uid, "normal")
    prune(keep_days=1, keep_labelled=keep)
    assert there(history) == left


def test_a_label_of_a_moment_ago_saves_a_verdict_that_was_about_to_go(history):
    one = aged(0, days=9)
    history.append([one])
    history.label(one.uid, "anomalous")
    assert history.remove([1], labelled=False) == 0
    assert there(history) == [0]


def test_what_a_sink_of_the_station_file_owes_is_kept_and_a_removed_sink_holds_nothing(history, prune, caplog):
    for sink in ("mqtt", "gone"):
        history.delivered(sink)
    history.append([aged(number, days=9) for number in range(5)])
    history.note_delivered("mqtt", 2)
    assert prune(keep_days=1, sinks=("mqtt",)).waits_for == "mqtt"
    assert there(history) == [2, 3, 4]
    assert "old verdicts are kept until sink mqtt has delivered them" in caplog.text
    history.note_delivered("mqtt", 5)
    assert prune(keep_days=1, sinks=("mqtt",)).waits_for == ""
    assert there(history) == []


def test_over_its_quota_the_oldest_go(history, prune):
    ballast = {"ballast": "x" * 3000}
    given = [aged(number, days=0) for number in range(5000)]
    history.append([replace(one, record={**one.record, **ballast}) for one in given])
    assert history.size().used_bytes > 15 << 20
    assert 9.5 < prune(quota_mb=10).used_mb < 10.1
    left = there(history)
    assert left == list(range(5000 - len(left), 5000))
    assert 1000 < len(left) < 4000


def test_free_pages_go_back_to_the_disk_but_some_spare_ones(history, prune, monkeypatch):
    from ganspect.runtime.history import retention as module

    monkeypatch.setattr(module, "_SPARE_PAGES", 20)
    history.append([aged(number, days=9) for number in range(1000)])
    history.select("PRAGMA wal_checkpoint(TRUNCATE)")
    before = history.path.stat().st_size
    prune(keep_days=1)
    history.select("PRAGMA wal_checkpoint(TRUNCATE)")
    assert history.size().free == 20
    assert history.path.stat().st_size < before / 5


def test_times_that_a_clock_had_wrong(history, prune):
    history.append([aged(0, days=9), aged(1, days=-400), aged(2, days=8), aged(3, days=0), aged(4, days=20_000)])
    prune(keep_days=1)
    assert there(history) == [1, 3, 4], "dated ahead, it waits; dated back, it is younger than the one before it"


def test_a_clock_that_leaps_ahead_is_doubted_for_a_day(history, prune, caplog):
    clock = Clock()
    doubted = clock.doubted(NOW_NS - DAY_NS // 2)
    history.append([aged(0, days=0)])
    assert doubted.now_ns() == NOW_NS
    clock.wall += 400 * DAY_NS
    prune(keep_days=30, clock=doubted)
    assert there(history) == [0]
    assert "nothing is pruned for a day" in caplog.text
    clock.wall -= 400 * DAY_NS
    assert doubted.now_ns() == NOW_NS, "set back, it is believed at once"
    clock.wall += 400 * DAY_NS
    assert doubted.now_ns() is None
    clock.steady += DAY_NS + 1
    clock.wall += DAY_NS + 1
    assert doubted.now_ns() == clock.wall, "so it was no mistake: the station was off"


def test_what_cannot_be_removed_is_said_and_tried_again(history, monkeypatch, caplog):
    history.append([aged(0, days=9)])
    remove, tries = history.remove, []

    def fail_once(numbers, *, labelled):
        tries.append(numbers)
        if len(tries) == 1:
            raise OutputError("cannot write history.sqlite: database or disk is full; free some space")
        return remove(numbers, labelled=labelled)

    monkeypatch.setattr(history, "remove", fail_once)
    settings, clock = HistorySettings(keep_days=1), Clock().doubted(NOW_NS)
    with Retention(history, settings, clock=clock, every_s=0.01) as retention:
        end = time.monotonic() + 10
        while retention.status().removed == 0 and time.monotonic() < end:
            retention._ending.wait(0.01)
    assert there(history) == []
    assert caplog.text.count("old verdicts cannot be removed") == 1


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from ganspect.runtime.history import History
from ganspect.runtime.history.retention import Retention
from ganspect.runtime.history.settings import HistorySettings

history = History.open(Path(sys.argv[1]))
retention = Retention(history, HistorySettings(keep_days=1))
while retention.status().removed < 300:
    threading.Event().wait(0.005)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_while_it_prunes_the_history_is_whole(tmp_path):
    path = tmp_path / "history.sqlite"
    now_ns = time.time_ns()
    with History.open(path) as history:
        old = [replace(entry(number), timestamp_ns=now_ns - 9 * DAY_NS) for number in range(3000)]
        new = [replace(entry(number), timestamp_ns=now_ns) for number in range(3000, 3100)]
        history.append([*old, *new])
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    with History.open(path) as history:
        left = there(history)
        assert left == list(range(left[0], 3100))
        assert 0 < left[0] <= 3000
        assert history.select("PRAGMA integrity_check") == [("ok",)]


def test_a_history_of_the_first_version_is_brought_up_to_date(tmp_path, monkeypatch):
    from ganspect.runtime.history import file, schema

    path = tmp_path / "history.sqlite"
    with monkeypatch.context() as older:
        older.setattr(schema, "VERSION", 1)
        with History.open(path) as history:
            history.append([entry(number, camera="ab"[number % 2]) for number in range(4)])
            history.delivered("mqtt")
        with History.open(path, read_only=True) as reader:
            assert reader.noted("station") is None
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    with History.open(path, read_only=True) as reader:
        assert len(list(reader.records(Query(camera="a")))) == 2, "it can be read as it is"
    with file.HistoryFile.open(path) as opened:
        assert opened.select("PRAGMA user_version") == [(schema.VERSION,)]
    with History.open(path) as history:
        history.note("station", "line3")
        assert history.noted("station") == "line3"
        assert history.delivered("mqtt") == 4
        history.append([entry(4)])
        assert there(history) == [0, 1, 2, 3, 4]
