"""The benchmark of rejected parts in its short form, and that a lost part shows."""

import json

import pytest
from rejects import DELAY_MS, _after_ms, main

MS = 1_000_000


def test_each_part_has_the_first_write_after_its_time_and_a_lost_one_has_none():
    due = [0, 100 * MS, 200 * MS]
    assert _after_ms(due, [2 * MS, 101 * MS, 203 * MS]) == [2, 1, 3]
    assert _after_ms(due, [2 * MS, 50 * MS, 203 * MS]) == [2, 3], "the second was not rejected"


def test_ten_parts_reach_a_real_server(tmp_path, capsys):
    pytest.importorskip("pymodbus", reason="pymodbus is not installed (extra modbus)")
    assert main(["--parts", "10", "--out", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads((tmp_path / "rejects.json").read_text())
    assert printed["as_it_is"]["reached"] == printed["no_core_free"]["reached"] == 10
    assert printed["delay_ms"] == DELAY_MS
    assert printed["as_it_is"]["after_its_time_ms"]["p50"] > 0


def test_bad_input_gets_one_sentence(tmp_path, capsys):
    assert main(["--parts", "1", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("rejects: --parts 1 tells nothing")
