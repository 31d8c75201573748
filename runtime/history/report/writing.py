"""Counts a period of the history and writes it as one HTML file.

write_report(history, Query(since_ns=…), Path("shift.html"))
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ganspect import __version__
from ganspect.files import require_writable, write_atomically
from ganspect.runtime.history.local import local_time
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.report import drawing, tables
from ganspect.runtime.history.report.highest import SHOWN
from ganspect.runtime.history.report.period import Period, length
from ganspect.runtime.history.report.pictures import embedded
from ganspect.runtime.history.report.reading import read_period, records, tallies
from ganspect.runtime.history.report.tally import ANOMALOUS, SCORE_END, UNDECIDED, Gap, Tally
from ganspect.runtime.history.report.wording import count, milliseconds, score, share
from ganspect.runtime.history.store import History

_CHOSEN = "At most one of a camera and minute, and of a camera's equal scores one."


def write_report(history: History, query: Query, out: Path) -> int:
    """Write the report, and return over how many verdicts it counts.

    Args:
        history: of a station, which may be running.
        query: its period and camera; the rest is not looked at.
        out: the HTML file.

    Raises:
        OutputError: the history cannot be read or the file not written.
    """
    require_writable(out.absolute().parent, free_mb=5)
    begin_s = time.perf_counter()
    period = read_period(history, query, time.time_ns())
    counted = tallies(history, query.camera, period)
    content = _content(history, query.camera, period, counted)
    content["took_s"] = f"{time.perf_counter() - begin_s:.1f}"
    write_atomically(out, _render(content).encode())
    return sum(tally.total for tally in counted)


def _content(history: History, camera: str | None, period: Period, counted: Sequence[Tally]) -> dict[str, Any]:
    gaps = {tally.camera: tally.gaps() for tally in counted}
    begin, end = local_time(period.begin_ns), local_time(period.end_ns)
    return {
        "station": history.noted("station") or history.path.absolute().parent.name,
        "camera": camera,
        "counts_from": _counts_from(period),
        "period": f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}",
        "period_length": length((period.end_ns - period.begin_ns) / 1e9),
        "zone": f"{begin.tzname()} (UTC{begin:%z})",
        "bundles": _bundles(history, counted),
        "headline": _headline(counted),
        "cards": _cards(counted, gaps),
        "by_camera": tables.by_camera(counted),
        "bucket": length(period.bucket_s),
        "cameras": [_camera(tally, period, gaps[tally.camera]) for tally in counted if tally.total],
        "latency": Markup(drawing.latencies(counted)) if any(tally.total for tally in counted) else None,
        "gaps": tables.of_gaps(gaps, period),
        "gap_s": ", ".join(f"{tally.camera}: {length(tally.gap_s)}" for tally in counted),
        "labels": tables.of_labels(counted),
        "galleries": _galleries(history, period, counted),
        "rows": count(sum(tally.total for tally in counted)),
        "score_end": f"{SCORE_END:g}",
        "written": f"{local_time(time.time_ns()):%Y-%m-%d %H:%M}",
        "version": __version__,
    }


def _camera(tally: Tally, period: Period, gaps: Sequence[Gap]) -> dict[str, Any]:
    return {
        "name": tally.camera,
        "over_time": Markup(drawing.over_time(tally, period, gaps)),
        "scores": Markup(drawing.score_distribution(tally)) if tally.scores.any() else None,
        "unscored": count(tally.unscored) if tally.unscored else "",
        "table": tables.of_time(tally, period),
        "changed": tally.changed,
    }


def _counts_from(period: Period) -> str:
    """Say from when the history counts, where that is not the period's begin."""
    if period.counts_ns == period.begin_ns:
        return ""
    if period.counts_ns == period.end_ns:
        return "the history's first verdict came after this period"
    return f"counted from {local_time(period.counts_ns):%Y-%m-%d %H:%M:%S}, the history's first verdict"


def _headline(counted: Sequence[Tally]) -> str:
    total, anomalous, undecided = _sums(counted)
    if total == 0:
        return "There is no verdict in this period."
    beside = f", and {count(undecided)} were left undecided by their time budget" if undecided else ""
    return f"{count(anomalous)} of {count(total)} verdicts were anomalous ({share(anomalous, total)}){beside}."


def _cards(counted: Sequence[Tally], gaps: dict[str, list[Gap]]) -> list[tuple[str, str, str]]:
    total, anomalous, undecided = _sums(counted)
    away_s = [gap.length_s for several in gaps.values() for gap in several]
    stretches = f"{count(len(away_s))} stretch{'' if len(away_s) == 1 else 'es'}"
    worst = max((tally.latency_ms.quantile(0.99) or 0.0 for tally in counted), default=0.0)
    said = sum(int(tally.labelled[1:].sum()) for tally in counted)
    rejected = sum(int(tally.labelled[1][1:].sum() + tally.labelled[2][0]) for tally in counted)
    return [
        ("verdicts", count(total), f"of {len(counted)} camera{'s' if len(counted) != 1 else ''}"),
        ("anomalous", share(anomalous, total), f"{count(anomalous)} verdicts"),
        ("undecided", count(undecided), f"{share(undecided, total)}; not in the rate beside"),
        ("latency, p99", f"{milliseconds(worst)} ms", "of the slowest camera"),
        ("without verdicts", length(sum(away_s)), f"in {stretches}, cameras added up"),
        ("labelled", count(said), f"{count(rejected)} of them say otherwise"),
    ]


def _sums(counted: Sequence[Tally]) -> tuple[int, int, int]:
    kinds = [sum(int(tally.verdicts[kind]) for tally in counted) for kind in range(3)]
    return sum(kinds), kinds[ANOMALOUS], kinds[UNDECIDED]


def _bundles(history: History, counted: Sequence[Tally]) -> str:
    """Return the bundles by which was judged, as far as their thresholds differ."""
    numbers = [change.number for tally in counted for change in tally.changes]
    found = dict.fromkeys(str(record["bundle"]) for record in records(history, numbers))
    return ", ".join(found) or "none"


def _galleries(
    history: History, period: Period, counted: Sequence[Tally]
) -> list[tuple[str, str, list[dict[str, Any]]]]:
    ranked = sorted((one for tally in counted for one in tally.highest), key=_rank)[:SHOWN]
    latest = sorted((number for tally in counted for number in tally.latest), reverse=True)
    highest = [number for _, number in ranked]
    others = [number for number in latest if number not in highest][:SHOWN]
    return [
        (title, said, [_case(history, period, record) for record in records(history, numbers)])
        for title, said, numbers in (
            ("With the highest scores", _CHOSEN, highest),
            ("The latest, beside those", "", others),
        )
        if numbers
    ]


def _rank(one: tuple[float, int]) -> tuple[float, int]:
    value, number = one
    return (-math.inf if math.isnan(value) else -value, -number)


def _case(history: History, period: Period, record: dict[str, Any]) -> dict[str, Any]:
    said = {"normal": "✗ rejected: a person says normal", "anomalous": "✓ confirmed by a person", None: ""}
    return {
        "picture": embedded(history.path.absolute().parent, record),
        "camera": record["camera"],
        "time": period.local(record["timestamp_ns"]),
        "score": score(record["score"]),
        "threshold": score(record["threshold"]),
        "label": said[record["label"]],
        "id": record["id"][:8],
    }


def _render(content: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("shift.html.j2").render(content)
