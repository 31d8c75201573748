import re
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from ganspect.errors import MissingDependencyError
from ganspect.opencv import cv2
from ganspect.runtime.history import History, Query
from ganspect.runtime.history.command import show_history
from ganspect.runtime.history.report import reading
from ganspect.runtime.history.report.histogram import LogHistogram
from ganspect.runtime.history.report.period import Period, length
from ganspect.runtime.history.report.reading import read_period, tallies
from tests.runtime.history.entries import BEGIN_NS, entry

SECOND = 10**9


def judged(number: int, *, at_s: float, score: float | None, threshold: float = 0.3, **keys: str):
    one = entry(number, **keys)
    record = {**one.record, "score": score, "threshold": threshold, "timestamp_ns": BEGIN_NS + round(at_s * SECOND)}
    return replace(one, timestamp_ns=record["timestamp_ns"], record=record)


def shift() -> list:
    """Two cameras over an hour, a verdict a second; `left` was away for five minutes, and its threshold changed."""
    given = []
    for second in range(3600):
        if not 1000 <= second < 1300:
            kind = "anomalous" if second % 100 == 0 else "undecided" if second % 900 == 5 else "normal"
            score = {"anomalous": 0.6 + second / 1e5, "undecided": None, "normal": 0.2}[kind]
            threshold = 0.3 if second < 2000 else 0.4
            given.append(judged(second, at_s=second, score=score, threshold=threshold, verdict=kind))
        given.append(judged(second, at_s=second + 0.5, score=0.1, camera="right"))
    return given


@pytest.fixture
def data(tmp_path):
    with History.open(tmp_path / "data/history.sqlite") as history:
        history.append(shift())
        history.note("station", "line <3>")
    return tmp_path / "data"


@pytest.fixture
def left(data):
    """Return the period and what was counted of the left camera, in pages that are small enough to be many."""
    with History.open(data / "history.sqlite", read_only=True) as history:
        period = read_period(history, Query(), BEGIN_NS)
        return period, tallies(history, None, period)[0]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(reading, "_PAGE", 700)


def test_verdicts_are_counted_once_over_all_pages(left):
    period, tally = left
    assert tally.verdicts.tolist() == [3263, 33, 4]
    assert tally.over_time.sum(axis=1).tolist() == tally.verdicts.tolist()
    assert period.bucket_s == 60
    assert tally.scores.sum() == 3296
    assert tally.unscored == 4


def test_gaps_thresholds_and_the_highest(left):
    _, tally = left
    (gap,) = tally.gaps()
    assert gap.length_s == pytest.approx(301)
    assert gap.begin_ns == BEGIN_NS + 999 * SECOND
    assert [(change.before, change.after) for change in tally.changes[1:]] == [(0.3, 0.4)]
    assert tally.changes[1].time_ns == BEGIN_NS + 2000 * SECOND
    assert tally.changed == 1
    assert [round(score, 4) for score, _ in tally.highest[:2]] == [0.635, 0.634]
    assert len(tally.highest) == 8
    assert len(tally.latest) == 8
    assert tally.latest == sorted(tally.latest, reverse=True)


def test_a_score_at_the_threshold_is_on_the_normal_side(tmp_path):
    with History.open(tmp_path / "history.sqlite") as history:
        for number, (score, threshold) in enumerate([(0.3, 0.3), (0.1977, 0.1977), (0.30001, 0.3), (9.0, 0.3)]):
            history.append([judged(number, at_s=number, score=score, threshold=threshold)])
        (tally,) = tallies(history, None, read_period(history, Query(), BEGIN_NS))
    assert [tally.scores[index] for index in (19, 20, 60)] == [2, 1, 1]


def test_many_verdicts_of_one_moment_are_each_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PAGE", 4)
    with History.open(tmp_path / "history.sqlite") as history:
        history.append([judged(number, at_s=number // 11, score=0.1) for number in range(50)])
        (tally,) = tallies(history, None, read_period(history, Query(), BEGIN_NS))
    assert tally.total == 50


def test_silence_counts_at_the_ends_of_a_period_that_was_asked_for(data):
    with History.open(data / "history.sqlite") as history:
        history.append([judged(9999, at_s=-3600, score=0.1)])
    asked = Query(since_ns=BEGIN_NS - 600 * SECOND, until_ns=BEGIN_NS + 4200 * SECOND)
    with History.open(data / "history.sqlite", read_only=True) as history:
        period = read_period(history, asked, time.time_ns())
        found = {tally.camera: tally.gaps() for tally in tallies(history, None, period)}
    assert [round(gap.length_s) for gap in found["right"]] == [600, 600]
    assert [round(gap.length_s) for gap in found["left"]] == [601, 600, 301]


def test_time_before_the_first_verdict_of_all_is_no_stretch_without_verdicts(data, tmp_path):
    asked = Query(since_ns=BEGIN_NS - 8 * 3600 * SECOND, until_ns=BEGIN_NS + 3600 * SECOND)
    with History.open(data / "history.sqlite", read_only=True) as history:
        period = read_period(history, asked, time.time_ns())
        found = {tally.camera: tally.gaps() for tally in tallies(history, None, period)}
    assert [round(gap.length_s) for gap in found["left"]] == [301]
    assert found["right"] == []
    text = text_of(written(data, tmp_path, since="2023-11-14T14:13:20Z", until="2023-11-14T23:13:20Z"))
    first = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(BEGIN_NS / 1e9))
    assert f"counted from {first}, the history&#39;s first verdict" in text
    assert "5 min in 1 stretch, cameras added up" in text
    assert "the station was away" not in text


def test_a_frame_that_comes_many_times_is_shown_once(tmp_path):
    scores = {0: 0.9, 1: 0.8, 61: 0.9, 62: 0.7, 125: 0.6, 126: None, 127: None, 185: None}
    with History.open(tmp_path / "history.sqlite") as history:
        begin_s = -(BEGIN_NS // SECOND % 60)
        history.append(
            [
                judged(n, at_s=begin_s + at_s, score=score, verdict="anomalous")
                for n, (at_s, score) in enumerate(scores.items())
            ]
        )
        (tally,) = tallies(history, None, read_period(history, Query(), BEGIN_NS))
    assert [number for _, number in tally.highest] == [6, 8, 1]


def test_percentiles_are_right_to_half_a_percent():
    values = np.random.default_rng(0).gamma(3, 10, 20_000)
    histogram = LogHistogram()
    for part in np.array_split(values, 7):
        histogram.add(part)
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.006)
    assert LogHistogram().quantile(0.5) is None


@pytest.mark.parametrize(("seconds", "said"), [(60, "1 min"), (48, "48 s"), (301, "5 min"), (7500, "2 h 05 min")])
def test_lengths_in_words(seconds, said):
    assert length(seconds) == said


@pytest.mark.parametrize(("days", "bucket_s"), [(1 / 3, 300), (1, 900), (7, 10_800), (365, 4 * 86_400)])
def test_a_period_of_any_length_has_about_a_hundred_buckets(days, bucket_s):
    period = Period.of(BEGIN_NS, BEGIN_NS + round(days * 86_400) * SECOND, asked=True)
    assert period.bucket_s == bucket_s
    assert 50 < period.buckets <= 98


class Reader(HTMLParser):
    """Collects what a page would load, and checks that its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def written(data, tmp_path, **asked) -> str:
    show_history(data, form="report", out=tmp_path / "shift.html", **asked)
    page = (tmp_path / "shift.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert reader.loaded == reader.open == []
    assert "<script" not in page
    return page


def text_of(page: str) -> str:
    body = page[page.index("<body>") :].replace("\N{NARROW NO-BREAK SPACE}", "")
    return " ".join(re.sub("<[^>]*>", " ", body).split())


def test_the_page_says_it_all_and_needs_nothing_from_elsewhere(data, tmp_path):
    with History.open(data / "history.sqlite") as history:
        anomalies = [record["id"] for record in history.records(Query(verdict="anomalous"))]
        history.label(anomalies[-1], "normal")
        history.label(anomalies[-2], "anomalous")
    page = written(data, tmp_path)
    text = text_of(page)
    assert "Shift report of line &lt;3&gt;" in text
    assert "33 of 6900 verdicts were anomalous (0.5%), and 4 were left undecided by their time budget." in text
    assert "left 3300 3263 33 1.0% 4 0.3 → 0.4" in text
    assert "T 0.3 → 0.4" in text
    assert "5 min went on" in text
    assert "left 1 1 0 0 50.0%" in text
    assert "rejected: a person says normal" in text
    assert "no picture kept" in text
    assert "bundle 0000000000000000" in text
    assert "Counted over 6900 verdicts" in text
    assert page.count('<th scope="col">') > 20
    assert page.count("<caption>") >= 4
    assert page.count('role="img"') == 5


def test_pictures_that_the_station_kept_are_inside_and_small(data, tmp_path):
    with History.open(data / "history.sqlite") as history:
        uid = [record["id"] for record in history.records(Query(verdict="anomalous"))][-1]
    folder = data / "pictures" / time.strftime("%Y-%m-%d", time.localtime(BEGIN_NS / 1e9))
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / f"221320.000_left_{uid}_heat.jpg"), np.full((400, 1600, 3), 90, np.uint8))
    page = written(data, tmp_path)
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert len(page) < 200_000
    (folder / f"221320.000_left_{uid}_heat.jpg").write_bytes(b"half a pic")
    assert 'src="data:image' not in written(data, tmp_path), "what is damaged is left out"


def test_a_period_without_verdicts(data, tmp_path):
    text = text_of(written(data, tmp_path, since="2020-01-01T06:00", until="2020-01-01T14:00"))
    assert "There is no verdict in this period." in text
    assert "the history&#39;s first verdict came after this period" in text
    assert "the station was away" not in text
    text = text_of(written(data, tmp_path, since="2024-01-01T06:00", until="2024-01-01T14:00"))
    assert "8 h 00 min silent too: the station was away" in text


def test_a_history_without_any_verdict(tmp_path):
    History.open(tmp_path / "data/history.sqlite").close()
    assert "There is no verdict in this period." in written(tmp_path / "data", tmp_path)


def test_one_camera(data, tmp_path):
    text = text_of(written(data, tmp_path, camera="right"))
    assert "0 of 3600 verdicts were anomalous (0.0%)." in text
    assert "left" not in text.partition("Anomalies")[0]
    assert "Shift report of line &lt;3&gt;, camera right" in text


@pytest.mark.parametrize(
    ("form", "package", "extra", "modules"),
    [("parquet", "pyarrow", "parquet", ["parquet"]), ("report", "jinja2", "report", ["report", "report.writing"])],
)
def test_a_package_that_is_missing_gets_the_pip_command(data, tmp_path, monkeypatch, form, package, extra, modules):
    for module in modules:
        monkeypatch.delitem(sys.modules, f"ganspect.runtime.history.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=re.escape(f"pip install 'ganspect[{extra}]'")):
        show_history(data, form=form, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
