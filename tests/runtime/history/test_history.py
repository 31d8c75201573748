import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ganspect.errors import OutputError
from ganspect.runtime.history import Entry, History, Query
from ganspect.runtime.history.query import ALL
from ganspect.runtime.history.recorder import Recorder
from tests.runtime.history.entries import entry

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def history(tmp_path):
    with History.open(tmp_path / "history.sqlite") as opened:
        yield opened


def numbers(history: History, query: Query = ALL) -> list[int]:
    return [record["sequence"] for record in history.records(query)]


def test_what_was_appended_is_read_again(history):
    given = [entry(number) for number in range(5)]
    history.append(given)
    found = list(history.records())
    assert [{key: record[key] for key in given[0].record} for record in found] == [one.record for one in given]
    assert [record["number"] for record in found] == [1, 2, 3, 4, 5]
    assert found[0]["label"] is None


def test_an_entry_given_twice_is_kept_once(history):
    one = entry(0)
    history.append([one])
    history.append([one, entry(1)])
    assert numbers(history) == [0, 1]


def test_entries_are_kept_all_or_none(history):
    bad = Entry("f" * 32, "left", 0, "doubtful", entry(1).record)
    with pytest.raises(OutputError, match="cannot write"):
        history.append([entry(0), bad])
    assert numbers(history) == []
    history.append([entry(2)])
    assert numbers(history) == [2]


def test_questions_by_camera_verdict_and_time(history):
    verdicts = ("normal", "anomalous", "undecided", "anomalous")
    history.append([entry(number, camera="ab"[number % 2], verdict=verdicts[number]) for number in range(4)])
    assert numbers(history, Query(camera="b")) == [1, 3]
    assert numbers(history, Query(verdict="anomalous")) == [1, 3]
    assert numbers(history, Query(since_ns=entry(1).timestamp_ns, until_ns=entry(3).timestamp_ns)) == [1, 2]
    assert numbers(history, Query(limit=2)) == [2, 3], "the newest, oldest first"
    assert history.count() == {"normal": 1, "anomalous": 2, "undecided": 1}
    assert history.count(Query(camera="a")) == {"normal": 1, "anomalous": 0, "undecided": 1}


def test_it_is_on_disk_in_full_and_readers_do_not_disturb(history):
    assert history._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert history._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    history.append([entry(0)])
    with History.open(history.path, read_only=True) as reader:
        history.append([entry(1)])
        assert numbers(reader) == [0, 1]
        with pytest.raises(OutputError):
            reader.append([entry(2)])


def test_what_a_sink_owes_is_what_came_after_it_began(history):
    history.append([entry(0)])
    assert history.delivered("mqtt") == 1
    history.append([entry(1), entry(2)])
    owed = history.after(history.delivered("mqtt"), limit=10)
    assert [number for number, *_ in owed] == [2, 3]
    history.note_delivered("mqtt", 2)
    assert history.delivered("mqtt") == 2


def test_labels_of_a_person(history):
    one = entry(0)
    history.append([one])
    assert history.label(one.uid, "normal")
    assert not history.label("unknown", "normal")
    (record,) = history.records()
    assert record["label"] == "normal"
    assert record["labelled_ns"] > 0


def test_a_file_that_is_no_history(tmp_path):
    (tmp_path / "history.sqlite").write_text("something else, and long enough to be taken for a header " * 20)
    with pytest.raises(OutputError, match="cannot be opened as a station's history"):
        History.open(tmp_path / "history.sqlite")


def test_a_newer_history_is_left_alone(tmp_path):
    History.open(tmp_path / "history.sqlite").close()
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OutputError, match="newer ganspect"):
        History.open(tmp_path / "history.sqlite")


def test_no_history_to_read(tmp_path):
    with pytest.raises(OutputError, match="there is no history at"):
        History.open(tmp_path / "history.sqlite", read_only=True)


def test_a_recorder_acknowledges_what_is_kept_in_order(history):
    kept = []
    with Recorder(history, lambda batch: kept.extend(batch)) as recorder:
        for number in range(500):
            recorder.submit(entry(number), ticket=number)
    assert [one.ticket for one in kept] == list(range(500))
    assert numbers(history) == list(range(500))
    assert recorder.kept == 500


def test_while_the_disk_is_full_nothing_is_acknowledged_and_then_work_resumes(history, monkeypatch):
    from ganspect.runtime.history import recorder as module

    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    full, kept = threading.Event(), []
    full.set()
    append = history.append

    def append_if_there_is_room(entries):
        if full.is_set():
            # SQLite's own limit stands in for a full disk, and fails in the same place.
            history._connection.execute("PRAGMA max_page_count = 1")
        try:
            append(entries)
        finally:
            history._connection.execute("PRAGMA max_page_count = 1073741823")

    monkeypatch.setattr(history, "append", append_if_there_is_room)
    recorder = Recorder(history, lambda batch: kept.extend(batch), held_at_most=300)
    large = entry(0)  # too large for what room an empty file has, should it be a batch by itself
    recorder.submit(replace(large, record={**large.record, "ballast": "x" * 20_000}))
    for number in range(1, 300):
        recorder.submit(entry(number))
    waiter = threading.Thread(target=lambda: recorder.submit(entry(300)), daemon=True)
    waiter.start()
    while not recorder.alarm:
        waiter.join(0.01)
    assert "full" in recorder.alarm
    assert kept == []
    assert waiter.is_alive(), "more than it may hold is not taken"
    full.clear()
    waiter.join(5)
    assert recorder.close() == 0
    assert recorder.alarm == ""
    assert numbers(history) == list(range(301))


def test_an_acknowledgement_that_fails_does_not_stop_the_recorder(history, caplog):
    def fail(batch):
        raise PermissionError("the file cannot be moved")

    with Recorder(history, fail) as recorder:
        for number in range(3):
            recorder.submit(entry(number))
    assert numbers(history) == [0, 1, 2]
    assert "cannot be moved" in caplog.text


def test_while_too_many_are_held_submit_says_so_in_time(history, monkeypatch):
    monkeypatch.setattr(history, "append", lambda entries: (_ for _ in ()).throw(OutputError("the disk is full")))
    recorder = Recorder(history, lambda batch: None, held_at_most=2)
    assert [recorder.submit(entry(number), timeout_s=0.05) for number in range(3)] == [True, True, False]
    assert recorder.close(0.1) == 2


def test_a_slow_reader_sees_pages_and_holds_nothing_open(history):
    history.append([entry(number) for number in range(1200)])
    with History.open(history.path, read_only=True) as reader:
        found = reader.records(Query(limit=1100))
        first = next(found)
        history.append([entry(1200)])
        assert history._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert [first["sequence"], *(record["sequence"] for record in found)] == list(range(100, 1201))


KILLED = """
import os, signal, sys
from pathlib import Path
from ganspect.runtime.history import History
from ganspect.runtime.history.recorder import Recorder
from tests.runtime.history.entries import entry

def acknowledge(batch):
    for kept in batch:
        print(kept.entry.uid, flush=True)
    if recorder.kept > 300:
        os.kill(os.getpid(), signal.SIGKILL)

recorder = Recorder(History.open(Path(sys.argv[1])), acknowledge)
number = 0
while True:
    recorder.submit(entry(number))
    number += 1
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "history.sqlite")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    acknowledged = ended.stdout.split()
    assert len(acknowledged) > 300
    with History.open(tmp_path / "history.sqlite") as history:
        there = {record["id"] for record in history.records()}
    assert set(acknowledged) <= there


def test_the_log_shrinks_again_after_something_made_it_large(history):
    log = history.path.with_name("history.sqlite-wal")
    reader = sqlite3.connect(history.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM verdicts").fetchone()
    numbers = iter(range(100_000))
    while log.stat().st_size <= 6 << 20:
        history.append([entry(next(numbers)) for _ in range(500)])
    reader.close()
    for _ in range(3):
        history.append([entry(next(numbers))])
    assert log.stat().st_size <= 4 << 20
