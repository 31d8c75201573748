import json
from dataclasses import replace

import pytest

from ganspect.errors import EntryError, OutputError
from ganspect.runtime.history import Entry, History
from ganspect.runtime.history.recorder import Recorder
from ganspect.runtime.history.rejected import Rejected
from tests.runtime.history.entries import entry


def changed(number: int, **keys: object) -> Entry:
    one = entry(number)
    return replace(one, record={**one.record, **keys})


POISON = {
    "a verdict that is none": replace(entry(7), verdict="doubtful"),
    "not a number": changed(7, threshold=float("nan")),
    "no JSON": changed(7, regions=object()),
    "a key that is missing": replace(entry(7), record={"id": "7"}),
    "a time beyond 64 bits": replace(entry(7), timestamp_ns=1 << 70),
    "a name that is no text": replace(entry(7), camera="left\ud800"),
    "text where a number belongs": changed(7, score="high"),
    "a name that SQLite cannot hold": replace(entry(7), camera={"left": 1}),
}


@pytest.fixture
def history(tmp_path):
    with History.open(tmp_path / "history.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_what_can_never_be_written_is_put_aside_and_the_others_go_on(history, caplog, poison):
    kept, rejected = [], []
    with history._lock:  # so that all of them are in one batch
        recorder = Recorder(history, kept.extend, on_rejected=rejected.extend)
        for one in (entry(0), entry(1), poison, entry(2)):
            recorder.submit(one, one.uid)
    assert recorder.close() == 0
    assert [record["sequence"] for record in history.records()] == [0, 1, 2]
    assert [one.entry for one in rejected] == [poison]
    assert len(kept) == 3
    assert recorder.rejected == 1
    assert recorder.kept == 3
    (line,) = (history.path.parent / "rejected.jsonl").read_text().splitlines()
    found = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert poison.uid in found["id"]
    assert "it is put aside" in found["reason"]
    assert "can never be kept and is put aside in" in caplog.text


def test_a_closed_history_is_no_fault_of_an_entry(history):
    history.close()
    with pytest.raises(OutputError, match="cannot write") as raised:
        history.append([entry(0)])
    assert not isinstance(raised.value, EntryError)


def test_while_nothing_can_be_put_aside_all_are_held(history, monkeypatch):
    from ganspect.runtime.history import recorder as module

    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    (history.path.parent / "rejected.jsonl").mkdir()
    recorder = Recorder(history, lambda batch: None)
    recorder.submit(changed(7, threshold=float("nan")))
    recorder.submit(entry(1))
    while not recorder.alarm:
        recorder._given_up.wait(0.01)
    assert "rejected.jsonl: Is a directory" in recorder.alarm
    (history.path.parent / "rejected.jsonl").rmdir()
    assert recorder.close() == 0
    assert recorder.rejected == recorder.kept == 1


def test_a_file_that_is_large_enough_takes_no_more(tmp_path, monkeypatch):
    from ganspect.runtime.history import rejected as module

    monkeypatch.setattr(module, "_MOST_BYTES", 1700)
    rejected = Rejected(tmp_path / "rejected.jsonl")
    assert [rejected.put_aside(entry(number), "why") for number in range(4)] == [True, True, False, False]
    assert len(rejected.path.read_text().splitlines()) == 2
