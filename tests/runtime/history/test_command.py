import contextlib
import csv
import json
import sqlite3
import threading
import time
from dataclasses import replace

import pytest

from ganspect.errors import ConfigError, OutputError
from ganspect.runtime.history import History, Query
from ganspect.runtime.history.command import read_time, show_history
from tests.runtime.history.entries import BEGIN_NS, entry


@pytest.fixture
def zone(monkeypatch):
    """Return a function that sets the local time zone."""

    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def data(tmp_path):
    with History.open(tmp_path / "data/history.sqlite") as history:
        history.append([entry(number, verdict="anomalous" if number == 3 else "normal") for number in range(30)])
    return tmp_path / "data"


def test_a_table_of_the_newest_and_the_counts_of_all(data, capsys):
    show_history(data)
    out = capsys.readouterr().out
    assert "30 verdicts in" in out
    assert "29 normal, 1 anomalous, 0 undecided" in out
    assert out.count(" left ") == 20


def test_a_table_is_whole_on_eighty_columns_and_has_labels_where_there_are_any(data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show_history(data)
    assert "label" not in capsys.readouterr().out
    with History.open(data / "history.sqlite") as history:
        newest = next(iter(history.records(Query(limit=1))))
        history.label(newest["id"], "anomalous")
    show_history(data)
    out = capsys.readouterr().out
    assert "…" not in out
    assert out.splitlines()[1].split() == ["time", "camera", "verdict", "score", "T", "ms", "label", "id"]
    (line,) = (line for line in out.splitlines() if newest["id"][:8] in line)
    assert "anomalous" in line


@pytest.mark.parametrize(("score", "has_latency"), [(0.5110278, True), (0.00012345, False)])
def test_words_of_a_table_with_labels_stay_whole_on_eighty_columns(tmp_path, capsys, monkeypatch, score, has_latency):
    monkeypatch.setenv("COLUMNS", "80")
    one = entry(0, camera="conveyor", verdict="anomalous")
    record = {**one.record, "score": score, "threshold": score, "latency_ms": {"total": 365.4}}
    with History.open(tmp_path / "history.sqlite") as history:
        history.append([replace(one, record=record)])
        history.label(one.uid, "anomalous")
    show_history(tmp_path, label="anomalous")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines[:-1]) <= 80
    (line,) = (line for line in lines if "conveyor" in line)
    shown = f"{score:.4g}"
    latency = ["365.4"] if has_latency else []
    assert line.split()[2:] == ["conveyor", "anomalous", shown, shown, *latency, "anomalous", one.uid[:8]]


def test_json_lines_have_everything(data, capsys):
    show_history(data, form="jsonl", verdict="anomalous")
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["sequence"] == 3
    assert record["latency_ms"]["search"] == 2.0


def test_csv_into_a_file(data, tmp_path):
    show_history(data, form="csv", out=tmp_path / "shift.csv", limit=5)
    with (tmp_path / "shift.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["25", "26", "27", "28", "29"]
    assert rows[0]["verdict"] == "normal"


def test_a_spreadsheet_has_times_that_a_person_reads(data, capsys, monkeypatch, zone):
    zone("Asia/Kolkata")
    with History.open(data / "history.sqlite") as history:
        first = next(iter(history.records()))
        monkeypatch.setattr(time, "time_ns", lambda: BEGIN_NS + 90_250_000_000)
        history.label(first["id"], "anomalous")
    show_history(data, form="csv")
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert next(iter(rows[0])) == "time"
    assert rows[0]["time"] == "2023-11-15T03:43:20.000+05:30"
    assert rows[0]["timestamp_ns"] == str(BEGIN_NS)
    assert rows[0]["latency_ms"] == "3.5"
    assert rows[0]["labelled"] == "2023-11-15T03:44:50.250+05:30"
    assert rows[1]["labelled"] == ""


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "report"])
def test_a_file_that_was_written_is_named_with_how_many_verdicts_it_has(data, tmp_path, capsys, form):
    out = tmp_path / f"a folder whose name is long enough that a narrow terminal would break it/[red]/shift.{form}"
    out.parent.mkdir(parents=True)
    show_history(data, form=form, out=out, since="2023-11-14T22:13:25Z", until="2023-11-14T22:13:28Z")
    assert capsys.readouterr().out == f"3 verdicts in {out}\n"


def test_what_goes_to_standard_output_has_no_line_beside(data, capsys):
    show_history(data, form="csv", limit=1)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("form", ["table", "csv", "report"])
def test_a_camera_that_the_history_does_not_have(data, tmp_path, form):
    with History.open(data / "history.sqlite") as history:
        history.append([entry(31, camera="right")])
    with pytest.raises(ConfigError, match=r"no verdict of a camera 'nix'; give one of those it has: left, right$"):
        show_history(data, camera="nix", form=form, out=None if form == "table" else tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_history_has_no_camera_to_name(tmp_path, capsys):
    History.open(tmp_path / "history.sqlite").close()
    show_history(tmp_path, camera="left")
    assert "0 verdicts in" in capsys.readouterr().out


@pytest.mark.parametrize("signs", [8, 32])
def test_the_verdict_whose_id_begins_so(data, capsys, signs):
    with History.open(data / "history.sqlite") as history:
        uid = list(history.records())[7]["id"]
    show_history(data, uid_begin=uid[:signs].upper())
    out = capsys.readouterr().out
    assert uid[:8] in out
    assert "1 verdict in" in out
    for form in ("jsonl", "csv"):
        show_history(data, uid_begin=uid[:signs], form=form)
        assert uid in capsys.readouterr().out.splitlines()[-1]


def test_an_id_that_the_history_does_not_have(tmp_path):
    with History.open(tmp_path / "history.sqlite") as history:
        history.append([replace(entry(0), uid="ab" * 16)])
    with pytest.raises(ConfigError, match="has no verdict whose id begins with abc; give the first signs of one"):
        show_history(tmp_path, uid_begin="abc")
    with pytest.raises(ConfigError, match="'%' begins no id; give its first signs"):
        show_history(tmp_path, uid_begin="%")


def test_times(data, capsys):
    show_history(data, form="jsonl", since="2023-11-14T22:13:25Z", until="2023-11-14T22:13:28Z")
    found = [json.loads(line)["timestamp_ns"] for line in capsys.readouterr().out.splitlines()]
    assert found == [BEGIN_NS + number * 1_000_000_000 for number in (5, 6, 7)]
    assert abs(read_time("2h") - (time.time_ns() - 7200 * 10**9)) < 5e9


@pytest.mark.parametrize("text", ["yesterday", "2h ago", "99", "2026-13-01", "9999999d", "2026-01-01T"])
def test_what_is_no_time(data, text):
    with pytest.raises(ConfigError, match="is no time; give one such as"):
        show_history(data, since=text)


def test_no_history(tmp_path):
    with pytest.raises(OutputError, match=r"there is no history at .*; give the data folder of a station"):
        show_history(tmp_path)


def _another_program(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE places (url TEXT); CREATE VIEW all_places AS SELECT 1;")
        connection.execute("PRAGMA user_version = 77")


@pytest.mark.parametrize(
    "make",
    [lambda path: path.write_text("root:x:0:0\n" * 90), _another_program],
    ids=["a text", "another program's"],
)
def test_a_file_that_is_no_history(tmp_path, make):
    make(tmp_path / "file")
    with pytest.raises(OutputError, match=r"file is no station's history; give the folder that the station file names"):
        show_history(tmp_path / "file")


def test_an_empty_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file is empty; if its station has just been started, ask again"):
        show_history(tmp_path / "file")


def test_a_history_that_its_station_makes_in_this_moment(tmp_path):
    (tmp_path / "history.sqlite").touch()
    station = threading.Timer(0.3, lambda: History.open(tmp_path / "history.sqlite").close())
    station.start()
    try:
        show_history(tmp_path)
    finally:
        station.join()


def test_a_file_that_cannot_be_written(data, tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        show_history(data, form="csv", out=tmp_path / "none/shift.csv")


def test_longer_ago_than_there_are_dates(data):
    with pytest.raises(ConfigError, match="longer ago than there are dates"):
        show_history(data, since="999999d")


def test_a_file_for_a_table_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match="add --format csv, jsonl or parquet"):
        show_history(data, out=tmp_path / "x.csv")


def test_what_a_person_said_and_where_it_contradicts(data, capsys):
    with History.open(data / "history.sqlite") as history:
        uids = [record["id"] for record in history.records()]
        for number, said in ((1, "anomalous"), (2, "normal"), (3, "normal")):
            history.label(uids[number], said)

    def shown(**asked):
        show_history(data, form="jsonl", **asked)
        return [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]

    assert shown(label="normal") == [2, 3]
    assert shown(label="anomalous") == [1]
    assert len(shown(label="none")) == 27
    assert shown(disagree=True) == [1, 3]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_file_is_whole_or_the_old_one(data, tmp_path, monkeypatch, form):
    (tmp_path / "out").write_text("the old one")
    records = History.records

    def break_off(history, query):
        yield from list(records(history, query))[:3]
        raise OutputError("cannot read history.sqlite: disk I/O error")

    monkeypatch.setattr(History, "records", break_off)
    with pytest.raises(OutputError, match="cannot read"):
        show_history(data, form=form, out=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.parametrize("form", ["parquet", "report"])
def test_what_makes_a_file_needs_its_name(data, form):
    with pytest.raises(ConfigError, match=f"--format {form} makes a file, .* add --out FILE"):
        show_history(data, form=form)


def test_a_report_of_some_verdicts_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match="a report counts all verdicts of its period; leave out --verdict"):
        show_history(data, form="report", verdict="normal", out=tmp_path / "x.html")
    with pytest.raises(ConfigError, match="--id"):
        show_history(data, form="report", uid_begin="a", out=tmp_path / "x.html")


def test_a_period_that_ends_before_it_begins(data):
    with pytest.raises(ConfigError, match="--since is not before --until"):
        show_history(data, since="1h", until="2h")
