import io
import json

import pytest
from rich.console import Console

from ganspect.datasets import Skipped
from ganspect.runtime import summary as summary_module
from ganspect.runtime.summary import Summary, Tally

SETTINGS = {"bundle": "bundle", "source": "line.avi", "mode": "search"}


def record(verdict, outcome, steps, total_ms):
    latency_ms = {"capture": 1.0, "preprocess": 1.0, "score": 1.0, "search": 1.0, "total": total_ms}
    return {"verdict": verdict, "outcome": outcome, "steps": steps, "latency_ms": latency_ms}


@pytest.fixture
def tally():
    tally = Tally()
    for index in range(98):
        tally.add(record("normal", "cleared", 1, float(index)))
    tally.add(record("anomalous", "complete", 20, 98.0))
    tally.add(record("undecided", "budget", 7, 99.0))
    return tally


def test_frames_are_counted(tally):
    content = tally.to_dict()
    assert (content["frames"], content["normal"], content["anomalous"], content["undecided"]) == (100, 98, 1, 1)
    assert content["outcomes"] == {"cleared": 98, "complete": 1, "budget": 1}
    assert content["steps_mean"] == 1.25


def test_latencies_have_percentiles(tally):
    total = tally.to_dict()["latency_ms"]["total"]
    assert total == {"p50": 49.5, "p95": 94.05, "p99": 98.01}


def test_a_long_run_keeps_the_latest_latencies_and_every_count(monkeypatch):
    monkeypatch.setattr(summary_module, "LATENCIES_KEPT", 10)
    tally = Tally()
    for index in range(1000):
        tally.add(record("normal", "cleared", 1, float(index)))
    content = tally.to_dict()
    assert (content["frames"], content["steps_mean"]) == (1000, 1.0)
    assert content["latency_ms"]["total"]["p50"] == 994.5


def test_nothing_counted_is_valid_json():
    content = Summary(SETTINGS, Tally(), [], [], False).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False))["latency_ms"]["total"] is None


def test_it_is_written_and_shown(tally, tmp_path):
    summary = Summary(SETTINGS, tally, [Skipped("bad.png", "is empty")], ["ends early"], True)
    summary.write(tmp_path)
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["skipped"] == [{"name": "bad.png", "reason": "is empty"}]
    assert content["interrupted"] is True
    assert content["source"] == "line.avi"
    stream = io.StringIO()
    summary.show(Console(file=stream, width=100))
    printed = stream.getvalue()
    for text in (
        "98 cleared, 1 complete, 1 budget",
        "49.5 / 94.0 / 98.0",
        "skipped: bad.png: is empty",
        "warning: ends early",
    ):
        assert text in printed
    assert "interrupted: the results end with the last frame that was decided" in printed
