import json
import math
import resource

import numpy as np
import pytest

from ganspect.errors import OutputError
from ganspect.runtime.capture import Shot
from ganspect.runtime.regions import Region
from ganspect.runtime.results import KEYS, ResultsFile, remove_older, require_ours, to_record
from ganspect.runtime.verdict import Verdict


@pytest.fixture
def record():
    shot = Shot("line.avi", 7, 700_000_000, np.zeros((4, 4), np.uint8), 1.5)
    return to_record(shot, make_verdict(), "search")


def make_verdict(**changes):
    values = {
        "verdict": "anomalous",
        "anomalous": True,
        "score": 0.5,
        "start_score": 0.6,
        "threshold": 0.25,
        "outcome": "complete",
        "steps": 20,
        "heat_map": np.zeros((4, 4), np.float32),
        "regions": (Region((1, 0, 3, 2), 4, 0.9),),
        "latency_ms": {"preprocess": 1.0, "score": 2.0, "search": 3.0, "total": 7.0},
    }
    return Verdict(**{**values, **changes})


def test_a_record_has_every_key_in_order(record):
    assert tuple(record) == KEYS
    assert record["source"] == "line.avi"
    assert record["frame"] == 7
    assert record["timestamp_ns"] == 700_000_000
    assert record["regions"] == [{"xyxy": [1, 0, 3, 2], "area_px": 4, "peak": 0.9}]
    assert record["latency_ms"] == {"capture": 1.5, "preprocess": 1.0, "score": 2.0, "search": 3.0, "total": 8.5}


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_is_null(value):
    shot = Shot("line.avi", 0, 0, np.zeros((4, 4), np.uint8), 1.0)
    record = to_record(shot, make_verdict(score=value, start_score=value), "search")
    assert json.loads(json.dumps(record, allow_nan=False))["score"] is None
    assert record["start_score"] is None


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path, record):
    path = tmp_path / "results.jsonl"
    with ResultsFile(path) as results:
        results.write(record)
        results.write(record)
        assert [json.loads(line) for line in path.read_text().splitlines()] == [record, record]


def test_a_full_disk_leaves_whole_lines(tmp_path, record):
    path = tmp_path / "results.jsonl"
    length = len(json.dumps(record)) + 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ResultsFile(path) as results:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * length + 10, before[1]))
        try:
            results.write(record)
            results.write(record)
            with pytest.raises(OutputError, match=r"cannot write .*results\.jsonl: the disk is full"):
                results.write(record)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 * length, before[1]))
            with pytest.raises(OutputError, match=r"cannot write .*results\.jsonl: .*free some space"):
                results.write(record)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [record, record]


def test_an_existing_file_is_not_appended_to(tmp_path):
    (tmp_path / "results.jsonl").write_text("kept\n")
    with pytest.raises(OutputError, match="File exists"):
        ResultsFile(tmp_path / "results.jsonl")
    assert (tmp_path / "results.jsonl").read_text() == "kept\n"


def test_a_new_folder_is_made(tmp_path):
    require_ours(tmp_path / "new/out")
    assert (tmp_path / "new/out").is_dir()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"holds other files and no results\.jsonl"):
        require_ours(tmp_path)


@pytest.mark.parametrize("line", ["{}", '{"text": "dear"}', "dear", "[1]"])
def test_somebody_elses_results_are_left_alone(tmp_path, line):
    (tmp_path / "results.jsonl").write_text(line + "\n")
    with pytest.raises(OutputError, match="was not written by 'ganspect screen'"):
        require_ours(tmp_path)
    assert (tmp_path / "results.jsonl").read_text() == line + "\n"


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file, a folder was expected"):
        require_ours(tmp_path / "out")


def test_an_older_run_is_removed_and_nothing_else(tmp_path, record):
    with ResultsFile(tmp_path / "results.jsonl") as results:
        results.write(record)
    (tmp_path / "anomalies").mkdir()
    for name in (
        "summary.json",
        "overlay.mp4",
        ".overlay.mp4.partial12.mp4",
        "anomalies/a.png",
        "anomalies/notes.txt",
        "b",
    ):
        (tmp_path / name).write_text("")
    require_ours(tmp_path)
    remove_older(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["anomalies/notes.txt", "b"]


def test_an_empty_results_file_is_ours(tmp_path):
    (tmp_path / "results.jsonl").write_text("")
    require_ours(tmp_path)
