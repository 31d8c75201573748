import io
import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from ganspect.errors import BundleError, DeviceError
from ganspect.runtime.bench.measurement import Measurement, Repetition, Sample
from ganspect.runtime.bench.protocol import result_of
from ganspect.runtime.bench.serving import serve


class Counting:
    """A session whose repetitions take 1, 2, 3 ... ms."""

    def describe(self) -> dict[str, Any]:
        return {"backend": "counting", "precision": "fp32"}

    def repetition(self, measurement: Measurement) -> Repetition:
        if measurement.batch > 2:
            raise MemoryError("no room\nat all")
        counts = itertools.count(1)
        return lambda: Sample(float(next(counts)), 3.0)

    def best_scores(self, steps: int) -> list[float]:
        return [float(steps)]

    def floor(self) -> dict[str, Any]:
        return {}


def open_counting(request: Mapping[str, Any]) -> Counting:
    if "bundle" not in request:
        raise BundleError("there is no bundle")
    return Counting()


def answers(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    replies = io.StringIO()
    serve([json.dumps(request) for request in requests], replies, open_counting)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


OPEN = {"do": "open", "bundle": "b"}
SEARCH = {"mode": "search", "batch": 1, "steps": 5, "seconds": 0.0}


def test_a_session_is_described_with_the_time_that_opening_took() -> None:
    (opened,) = answers(OPEN)
    assert opened["ok"]["backend"] == "counting"
    assert opened["ok"]["load_ms"] >= 0


def test_warm_up_and_the_first_call_of_a_turn_are_no_samples() -> None:
    _, _, measured = answers(OPEN, {"do": "prepare", **SEARCH}, {"do": "measure", **SEARCH})
    # First run, three to warm up, one to begin the turn: the sixth is counted.
    assert measured["ok"]["samples_ms"] == [6.0]
    assert measured["ok"]["iterations"] == [3.0]
    assert measured["ok"]["peak_rss_mb"] > 1


def test_scores_are_asked_for_by_steps() -> None:
    assert answers(OPEN, {"do": "best_scores", "steps": 7})[1] == {"ok": {"scores": [7.0]}}


def test_an_error_is_a_reply_and_the_process_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    refused, opened = answers({"do": "open"}, OPEN)
    with pytest.raises(BundleError, match="there is no bundle"):
        result_of(refused)
    assert "ok" in opened


def test_an_unforeseen_error_says_its_kind_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, failed = answers(OPEN, {"do": "prepare", **SEARCH, "batch": 3})
    with pytest.raises(DeviceError, match=r"^MemoryError: no room$"):
        result_of(failed)
