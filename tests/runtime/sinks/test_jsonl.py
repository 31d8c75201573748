import json
import os

import pytest

from ganspect.runtime.sinks.jsonl import CURRENT, JsonLines
from tests.runtime.sinks.owed import owed


def lines(path) -> list[int]:
    return [json.loads(line)["sequence"] for line in path.read_text().splitlines()]


def test_lines_are_appended(tmp_path):
    sink = JsonLines(tmp_path, rotate_bytes=10**9, keep=3)
    sink.send(owed(0, 1))
    JsonLines(tmp_path, rotate_bytes=10**9, keep=3).send(owed(2))
    assert lines(tmp_path / CURRENT) == [0, 1, 2]


def test_files_rotate_and_the_oldest_go(tmp_path):
    (tmp_path / "notes.jsonl").write_text("not ours\n")
    sink = JsonLines(tmp_path, rotate_bytes=1, keep=2)
    for number in range(5):
        sink.send(owed(number))
    old = sorted(tmp_path.glob("verdicts-*.jsonl"))
    assert [lines(path) for path in old] == [[3], [4]]
    assert (tmp_path / "notes.jsonl").exists()


def test_what_was_written_of_a_batch_is_taken_back_when_the_disk_is_full(tmp_path, monkeypatch):
    sink = JsonLines(tmp_path, rotate_bytes=10**9, keep=3)
    sink.send(owed(0))
    write = os.write

    def write_a_little(descriptor, content):
        if len(content) < 1000:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:500])

    monkeypatch.setattr(os, "write", write_a_little)
    with pytest.raises(OSError, match="No space left"):
        sink.send(owed(1, 2))
    monkeypatch.undo()
    sink.send(owed(1, 2))
    assert lines(tmp_path / CURRENT) == [0, 1, 2]


def test_half_a_line_that_a_power_cut_left_stays_by_itself(tmp_path):
    sink = JsonLines(tmp_path, rotate_bytes=10**9, keep=3)
    sink.send(owed(0))
    with (tmp_path / CURRENT).open("ab") as file:
        file.write(b'{"half": ')
    sink.send(owed(1))
    first, half, second = (tmp_path / CURRENT).read_text().splitlines()
    assert half == '{"half": '
    assert [json.loads(line)["sequence"] for line in (first, second)] == [0, 1]
