"""What a station does with its own history: its name, old verdicts, and what cannot be written."""

import threading
import time
from dataclasses import replace

import pytest

from ganspect.runtime.history import Entry, History
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from tests.runtime.history.entries import entry


@pytest.fixture
def station(tmp_path, tiny_bundle, image_folder):
    """Return a function that opens a station on a watched folder with four images."""

    def opened(**keys: str) -> Station:
        path = tmp_path / "station.yaml"
        lines = [f"bundle: {tiny_bundle}", "data: data", "inspection: {backend: onnxruntime, threads: 1}"]
        lines += [f"{key}: {value}" for key, value in keys.items()]
        path.write_text("\n".join([*lines, "cameras:", f"  - {{name: a, source: 'watch:{image_folder}'}}"]) + "\n")
        return Station.open(read_station(path), tmp_path)

    return opened


def run_until(station: Station, done) -> None:
    stopping = threading.Event()

    def watch() -> None:
        end = time.monotonic() + 20
        while not done() and time.monotonic() < end:
            stopping.wait(0.02)
        stopping.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    station.run(stopping)
    watcher.join()


def test_old_verdicts_go_while_it_runs_and_its_name_is_noted(station, tmp_path):
    with History.open(tmp_path / "data/history.sqlite") as history:
        history.append([entry(0), replace(entry(1), timestamp_ns=time.time_ns())])
    with station(history="{keep_days: 30}", name="line3") as opened:
        run_until(opened, lambda: opened.recorder.kept == 4 and opened.retention.status().removed == 1)
    with History.open(tmp_path / "data/history.sqlite", read_only=True) as history:
        assert [record["number"] for record in history.records()] == [2, 3, 4, 5, 6]
        assert history.noted("station") == "line3"


def test_a_sink_of_the_file_holds_what_it_owes(station, tmp_path):
    with History.open(tmp_path / "data/history.sqlite") as history:
        for sink in ("gone", "webhook"):
            history.delivered(sink)
        history.append([entry(0), replace(entry(1), timestamp_ns=time.time_ns())])
    sinks = "[{kind: webhook, url: 'http://127.0.0.1:9/'}]"
    with station(history="{keep_days: 30}", sinks=sinks) as opened:
        run_until(opened, lambda: opened.recorder.kept == 4 and opened.retention.status().waits_for == "webhook")
        assert opened.retention.status().removed == 0
    with station(history="{keep_days: 30}") as opened:
        run_until(opened, lambda: opened.retention.status().removed == 1)
        assert opened.retention.status().removed == 1


def test_a_watched_file_whose_verdict_can_never_be_written_is_put_aside(station, tmp_path, image_folder, monkeypatch):
    of, count = Entry.of, []

    def poisoned(*given, **keys):
        count.append(1)
        made = of(*given, **keys)
        return replace(made, verdict="doubtful") if len(count) == 2 else made

    monkeypatch.setattr("ganspect.runtime.station.station.Entry.of", poisoned)
    with station() as opened:
        run_until(opened, lambda: opened.recorder.kept + opened.recorder.rejected == 4)
    assert opened.recorder.rejected == 1
    assert len(list((image_folder / "failed").iterdir())) == 1
    assert len(list((image_folder / "done").iterdir())) == 3
    assert len((tmp_path / "data/rejected.jsonl").read_text().splitlines()) == 1
