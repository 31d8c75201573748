"""The report's tables, as text in rows.

table = by_camera(tallies)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganspect.runtime.history.report.period import Period, length
from ganspect.runtime.history.report.tally import ANOMALOUS, NORMAL, UNDECIDED, Gap, Tally
from ganspect.runtime.history.report.wording import count, milliseconds, score, share

_GAPS = 12


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column names the row.

    Attributes:
        caption: what it shows, for those who hear it too.
        header: of each column.
        rows: of text.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def by_camera(tallies: Sequence[Tally]) -> Table:
    """Return verdicts, latency and threshold of each camera, and of all together."""
    header = ("camera", "verdicts", "normal", "anomalous", "rate", "undecided", "threshold", "p50", "p95", "p99 ms")
    rows = [
        (tally.camera, *_verdicts(tally.verdicts.tolist()), _thresholds(tally), *_latency(tally)) for tally in tallies
    ]
    if len(tallies) > 1:
        verdicts = [sum(int(tally.verdicts[kind]) for tally in tallies) for kind in range(3)]
        rows.append(("all", *_verdicts(verdicts), "", "", "", ""))
    return Table("Verdicts, threshold, and latency from a frame's arrival to its verdict", header, tuple(rows))


def of_labels(tallies: Sequence[Tally]) -> Table | None:
    """Return what persons said of verdicts; None where nobody said anything. Undecided counts as anomalous."""
    rows = []
    for tally in tallies:
        said = tally.labelled
        if not said[1:].any():
            continue
        alarms = [int(said[label][ANOMALOUS] + said[label][UNDECIDED]) for label in (2, 1)]
        passed = [int(said[label][NORMAL]) for label in (1, 2)]
        rows.append((tally.camera, *(count(value) for value in (*alarms, *passed)), share(alarms[1], sum(alarms))))
    if not rows:
        return None
    return Table(
        "Verdicts that a person confirmed or rejected",
        ("camera", "anomaly confirmed", "anomaly rejected", "normal confirmed", "normal rejected", "rejected alarms"),
        tuple(rows),
    )


def of_gaps(gaps: dict[str, list[Gap]], period: Period) -> Table | None:
    """Return the longest stretches without a verdict; None where there are none."""
    found = sorted(((gap, camera) for camera, several in gaps.items() for gap in several), reverse=True)
    rows = tuple(
        (camera, period.local(gap.begin_ns), period.local(gap.end_ns), length(gap.length_s), _whose(gap, camera, gaps))
        for gap, camera in found[:_GAPS]
    )
    left = f"; the longest {_GAPS} of {len(found)}" if len(found) > _GAPS else ""
    header = ("camera", "from", "until", "length", "others at that time")
    return Table(f"Stretches without a verdict{left}", header, rows) if rows else None


def of_time(tally: Tally, period: Period) -> Table:
    """Return what the drawing over time shows."""
    totals = tally.over_time.sum(axis=0)
    rows = []
    for index in range(period.buckets):
        several = [int(tally.over_time[kind][index]) for kind in range(3)]
        if totals[index]:
            rows.append((period.local(period.bucket_ns(index), seconds=period.bucket_s < 60), *_verdicts(several)))
    header = ("from", "verdicts", "normal", "anomalous", "rate", "undecided")
    return Table(f"{tally.camera}, in steps of {length(period.bucket_s)}", header, tuple(rows))


def _verdicts(several: Sequence[int]) -> tuple[str, ...]:
    total = sum(several)
    return (
        *(count(value) for value in (total, several[NORMAL], several[ANOMALOUS])),
        share(several[ANOMALOUS], total),
        count(several[UNDECIDED]),
    )


def _latency(tally: Tally) -> tuple[str, ...]:
    return tuple(milliseconds(tally.latency_ms.quantile(level)) for level in (0.5, 0.95, 0.99))


def _thresholds(tally: Tally) -> str:
    if not tally.changes:
        return score(None)
    if tally.changed > 2:
        return f"{tally.changed} changes"
    return " → ".join(score(change.after) for change in tally.changes)


def _whose(gap: Gap, camera: str, gaps: dict[str, list[Gap]]) -> str:
    others = [name for name in gaps if name != camera]
    if not others:
        return "no other camera"
    silent = [name for name in others if any(_overlap_s(gap, one) > 0.9 * gap.length_s for one in gaps[name])]
    if len(silent) == len(others):
        return "silent too: the station was away"
    return f"{', '.join(silent)} silent too" if silent else "went on"


def _overlap_s(one: Gap, other: Gap) -> float:
    return (min(one.end_ns, other.end_ns) - max(one.begin_ns, other.begin_ns)) / 1e9
