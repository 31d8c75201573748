"""The report's drawings as SVG inside the page: colours are the page's own, so they follow light, dark and print.

svg = over_time(tally, period)

Kinds differ in shape or pattern too: anomalous is solid, undecided is hatched, normal is pale.
"""

import math
from collections.abc import Sequence
from html import escape

from ganspect.runtime.history.report.period import Period
from ganspect.runtime.history.report.tally import ANOMALOUS, NORMAL, SCORE_BINS, SCORE_END, UNDECIDED, Gap, Tally

_WIDE, _LEFT, _RIGHT = 1060, 58, 14
_COUNTS_TOP, _COUNTS_END = 26, 136
_RATE_TOP, _RATE_END = 170, 240
_MOST_MARKS = 8
_LEGEND_PX = 110


def over_time(tally: Tally, period: Period, gaps: Sequence[Gap]) -> str:
    """Draw verdicts and the share of anomalies over time, thresholds that changed, and stretches without verdicts."""
    counts = tally.over_time
    totals = counts.sum(axis=0)
    most = _round_up(float(totals.max(initial=1)))
    rates = [100 * int(counts[ANOMALOUS][i]) / int(totals[i]) if totals[i] else 0.0 for i in range(len(totals))]
    most_rate = min(100.0, _round_up(max([1.0, *rates])))
    parts = [
        _axis(_COUNTS_TOP, _COUNTS_END, most, "verdicts"),
        _axis(_RATE_TOP, _RATE_END, most_rate, "anomalous", "%"),
    ]
    parts += [_gap_band(gap, period) for gap in gaps]
    step = (_WIDE - _LEFT - _RIGHT) / len(totals)
    for index, total in enumerate(totals):
        x, width = _LEFT + index * step, min(60.0, max(0.8, step * 0.86))
        below = 0.0
        for kind, name in ((ANOMALOUS, "anomalous"), (UNDECIDED, "undecided"), (NORMAL, "normal")):
            height = (_COUNTS_END - _COUNTS_TOP) * int(counts[kind][index]) / most
            parts.append(_bar(x, _COUNTS_END - below, width, height, name))
            below += height
        if total:
            parts.append(_bar(x, _RATE_END, width, (_RATE_END - _RATE_TOP) * rates[index] / most_rate, "anomalous"))
    parts += [_time_labels(period), *_threshold_marks(tally, period), _legend()]
    title = f"Verdicts of {tally.camera} over time, and the share that is anomalous"
    return _svg(_WIDE, 268, title, parts)


def score_distribution(tally: Tally) -> str:
    """Draw how many verdicts have which score, as multiples of the threshold; counts are logarithmic."""
    width, height, top, left = 510, 220, 24, 46
    end, right = height - 40, width - 34
    top_log = max(1.0, math.ceil(math.log10(max(2, int(tally.scores.max())))))
    step = (right - left) / (SCORE_BINS + 1)
    parts = []
    for power in range(int(top_log) + 1):
        y = end - (end - top) * power / top_log
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 6, y + 4, _short(10**power), "end"))
    for index, count in enumerate(tally.scores):
        if count:
            # One verdict is seen too.
            tall = (end - top) * (0.04 + 0.96 * math.log10(int(count)) / top_log)
            kind = "normal" if (index + 1) * SCORE_END / SCORE_BINS <= 1 else "anomalous"
            parts.append(_bar(left + index * step, end, step * 0.88, tall, kind))
    threshold = left + step * SCORE_BINS / SCORE_END
    parts.append(f'<line class="mark" x1="{threshold:.1f}" x2="{threshold:.1f}" y1="{top - 6}" y2="{end}"/>')
    parts.append(_text(threshold + 5, top - 4, "threshold T", "start", "strong"))
    for value in (0, 1, 2, 3):
        parts.append(_text(left + step * SCORE_BINS / SCORE_END * value, end + 16, f"{value}" + ("+" * (value == 3))))
    parts.append(_text((left + right) / 2, height - 6, "score, in multiples of the threshold"))
    return _svg(width, height, f"Scores of {tally.camera} against the threshold", parts)


def latencies(tallies: Sequence[Tally]) -> str:
    """Draw the median (disc), the 95th (square) and 99th (triangle) percentile of each camera on one scale."""
    left, row, top = 150, 34, 30
    height = top + row * len(tallies) + 30
    found = [[tally.latency_ms.quantile(share) or 0.0 for share in (0.5, 0.95, 0.99)] for tally in tallies]
    most = _round_up(max(1.0, *(value for values in found for value in values)))
    scale = (_WIDE - left - 40) / most
    parts = []
    for tick in range(5):
        x, value = left + scale * most * tick / 4, most * tick / 4
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 28}"/>')
        parts.append(_text(x, height - 10, f"{value:g} ms"))
    for index, (tally, (p50, p95, p99)) in enumerate(zip(tallies, found, strict=True)):
        y = top + row * index + row / 2 - 6
        x50, x95, x99 = (left + scale * value for value in (p50, p95, p99))
        parts += [
            _text(left - 12, y + 5, tally.camera, "end", "strong"),
            f'<line class="range" x1="{x50:.1f}" x2="{x99:.1f}" y1="{y}" y2="{y}"/>',
            _marker("p50", x50, y),
            _marker("p95", x95, y),
            _marker("p99", x99, y),
        ]
    for index, (shape, name) in enumerate((("p50", "median"), ("p95", "95th"), ("p99", "99th percentile"))):
        x = left + 6 + 100 * index
        parts += [_marker(shape, x, 10), _text(x + 12, 14, name, "start")]
    return _svg(_WIDE, height, "Latency of each camera: median, 95th and 99th percentile", parts)


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'preserveAspectRatio="xMinYMin meet"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _bar(x: float, bottom: float, width: float, height: float, kind: str) -> str:
    if height <= 0:
        return ""
    # Less than a pixel would be nothing to see, and one anomaly in ten thousand is something.
    height = max(height, 1.2)
    return f'<rect class="{kind}" x="{x:.1f}" y="{bottom - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _axis(top: int, end: int, most: float, name: str, unit: str = "") -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = end - (end - top) * share
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(_LEFT - 7, y + 4, f"{_short(most * share)}{unit}", "end"))
    lines.append(_text(_LEFT, top - 9, name, "start", "strong"))
    return "".join(lines)


def _x(period: Period, timestamp_ns: int) -> float:
    share = (timestamp_ns - period.first_ns) / (period.buckets * period.bucket_s * 1e9)
    return _LEFT + (_WIDE - _LEFT - _RIGHT) * min(1.0, max(0.0, share))


def _gap_band(gap: Gap, period: Period) -> str:
    begin, end = _x(period, gap.begin_ns), _x(period, gap.end_ns)
    said = f"no verdicts from {period.local(gap.begin_ns)} to {period.local(gap.end_ns)}"
    return (
        f'<rect class="gap" x="{begin:.1f}" y="{_COUNTS_TOP}" width="{max(1.5, end - begin):.1f}" '
        f'height="{_RATE_END - _COUNTS_TOP}"><title>{said}</title></rect>'
    )


def _time_labels(period: Period) -> str:
    every = max(1, math.ceil(period.buckets / 9))
    days = period.bucket_s * every >= 86_400
    texts = []
    for index in range(0, period.buckets, every):
        at_ns = period.bucket_ns(index)
        label = period.local(at_ns, seconds=period.bucket_s < 60)
        x = _x(period, at_ns)
        texts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_RATE_END}" y2="{_RATE_END + 5}"/>')
        texts.append(_text(x, _RATE_END + 20, label.split(" ")[0] if days else label))
    return "".join(texts)


def _threshold_marks(tally: Tally, period: Period) -> list[str]:
    parts = []
    for change in [change for change in tally.changes if not math.isnan(change.before)][:_MOST_MARKS]:
        x = _x(period, change.time_ns)
        anchor, shift = ("end", -5) if x > _WIDE * 0.75 else ("start", 5)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_COUNTS_TOP - 4}" y2="{_RATE_END}"/>')
        parts.append(
            _text(x + shift, _COUNTS_END + 16, f"T {change.before:.4g} → {change.after:.4g}", anchor, "strong")
        )
    return parts


def _legend() -> str:
    parts = []
    for index, kind in enumerate(("anomalous", "undecided", "normal", "gap")):
        x = _WIDE - _RIGHT - _LEGEND_PX * (4 - index)
        parts.append(f'<rect class="{kind}" x="{x}" y="3" width="12" height="12"/>')
        parts.append(_text(x + 17, 13, {"gap": "no verdicts"}.get(kind, kind), "start"))
    return "".join(parts)


def _marker(shape: str, x: float, y: float) -> str:
    if shape == "p50":
        return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    if shape == "p95":
        return f'<rect class="point" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
    return f'<path class="point" d="M{x:.1f} {y - 6.5:.1f}l6.5 11.5h-13z"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 5 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999999)


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1_000 else f"{value:g}"
