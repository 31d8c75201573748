"""The benchmark of a long history in its short form."""

import json

import pytest
from long_history import main


def test_old_verdicts_go_while_others_come_and_the_report_is_made(tmp_path, capfd):
    pytest.importorskip("jinja2", reason="jinja2 is not installed (extra report)")
    assert main(["--verdicts", "4000", "--seconds", "1", "--out", str(tmp_path)]) == 0
    printed = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert printed == json.loads((tmp_path / "long_history.json").read_text())
    assert printed["while_removing"]["removed"] == 2000
    assert 300 < printed["bytes_per_verdict"] < 3000
    assert printed["report"]["memory_mb"] > 20
    assert printed["commits_alone"]["verdicts"] > 5


def test_bad_input_gets_one_sentence(tmp_path, capsys):
    assert main(["--verdicts", "10", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("long_history: --verdicts is 1000 or more")
