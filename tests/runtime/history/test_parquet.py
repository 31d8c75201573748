import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganspect.runtime.history import History
from ganspect.runtime.history.command import show_history
from tests.runtime.history.entries import BEGIN_NS, entry


@pytest.fixture
def data(tmp_path):
    one = entry(0, verdict="anomalous")
    regions = [{"xyxy": [1, 2, 30, 40], "area_px": 99, "peak": 0.75}]
    with History.open(tmp_path / "data/history.sqlite") as history:
        history.append([replace(one, record={**one.record, "regions": regions, "drift": {"psi": 0.1}})])
        history.append([entry(1, verdict="undecided"), entry(2, camera="right")])
        history.label(one.uid, "normal")
    return tmp_path / "data"


def test_what_was_written_is_read_again_with_its_types(data, tmp_path):
    show_history(data, form="parquet", out=tmp_path / "shift.parquet")
    table = pq.read_table(tmp_path / "shift.parquet")
    assert table.schema.field("timestamp").type == pa.timestamp("ns", tz="UTC")
    assert table["timestamp"].cast(pa.int64()).to_pylist() == [BEGIN_NS + number * 10**9 for number in range(3)]
    assert table["number"].to_pylist() == [1, 2, 3]
    assert table["camera"].to_pylist() == ["left", "left", "right"]
    assert table["score"].to_pylist() == [0.25, None, 0.25], "no number is null"
    assert table["latency_search_ms"].to_pylist() == [2.0] * 3
    assert table["latency_waited_ms"].to_pylist() == [0.4] * 3
    assert table["label"].to_pylist() == ["normal", None, None]
    assert table["labelled"].null_count == 2
    box = {"left_px": 1, "top_px": 2, "right_px": 30, "bottom_px": 40, "area_px": 99, "peak": 0.75}
    assert table["regions"].to_pylist() == [[box], [], []]
    assert json.loads(table["other"][0].as_py()) == {"drift": {"psi": 0.1}}, "what has no column is not lost"
    assert table["other"].null_count == 2


def test_it_is_written_in_row_groups(data, tmp_path, monkeypatch):
    from ganspect.runtime.history import parquet

    monkeypatch.setattr(parquet, "_ROW_GROUP", 2)
    show_history(data, form="parquet", out=tmp_path / "shift.parquet", camera=None)
    file = pq.ParquetFile(tmp_path / "shift.parquet")
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [2, 1]


def test_a_choice_of_none_is_a_table_without_rows(data, tmp_path):
    show_history(data, form="parquet", out=tmp_path / "none.parquet", since="1h")
    table = pq.read_table(tmp_path / "none.parquet")
    assert table.num_rows == 0
    assert "regions" in table.column_names
