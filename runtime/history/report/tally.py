"""What a report counts of one camera, page by page in the order of time; its size does not grow with the verdicts.

tally = Tally("left", period); tally.add(page)
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganspect.runtime.history.report.highest import SHOWN, Highest
from ganspect.runtime.history.report.histogram import LogHistogram
from ganspect.runtime.history.report.period import Period

NORMAL, ANOMALOUS, UNDECIDED = range(3)
SCORE_BINS, SCORE_END = 60, 3.0
"""Of score over threshold; one more bin holds what is above."""
_MINUTE_NS = 60 * 10**9
_GAP_S = 60.0
_TIMES_USUAL = 20
_GAPS_KEPT = 2_000
_CHANGES_KEPT = 50
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Page:
    """Verdicts of one camera in the order of time, an array of (N) each.

    Attributes:
        time_ns: since the period's begin, float64.
        number: in the history, float64.
        verdict: `NORMAL`, `ANOMALOUS` or `UNDECIDED`, int64.
        score: NaN where there is none.
        threshold: T.
        latency_ms: from the frame's arrival to its verdict.
        label: 0 none, 1 normal, 2 anomalous; int64.
    """

    time_ns: Numbers
    number: Numbers
    verdict: NDArray[np.int64]
    score: Numbers
    threshold: Numbers
    latency_ms: Numbers
    label: NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """A threshold that came into force: when, what was before (NaN: nothing), what is now, and a verdict's number."""

    time_ns: int
    before: float
    after: float
    number: int


@dataclass(frozen=True, order=True)
class Gap:
    """A stretch without a verdict."""

    length_s: float
    begin_ns: int
    end_ns: int


class Tally:
    """One camera's figures.

    Attributes:
        camera: its name.
        verdicts: (3) how many of each verdict.
        labelled: (3, 3) labels (none, normal, anomalous) by verdict.
        over_time: (3, buckets) verdicts.
        scores: (bins + 1) verdicts by score over threshold.
        unscored: verdicts without a score, or with a threshold that is not positive; not in `scores`.
        latency_ms: of all verdicts.
        changes: thresholds, the first with `before` NaN; at most 50.
        changed: how many changes there were.
        latest: numbers of the latest anomalies, newest first.
    """

    def __init__(self, camera: str, period: Period) -> None:
        """Begin at nothing."""
        self.camera = camera
        self.verdicts = np.zeros(3, np.int64)
        self.labelled = np.zeros((3, 3), np.int64)
        self.over_time = np.zeros((3, period.buckets), np.int64)
        self.scores = np.zeros(SCORE_BINS + 1, np.int64)
        self.unscored = 0
        self.latency_ms = LogHistogram()
        self.changes: list[Change] = []
        self.changed = 0
        self.latest: list[int] = []
        self._period = period
        self._counts_ns = float(period.counts_ns - period.begin_ns)
        self._intervals_s = LogHistogram()
        self._gaps: list[Gap] = []
        self._last_ns: float | None = None
        self._highest = Highest()
        self._threshold = float("nan")

    @property
    def total(self) -> int:
        """Return how many verdicts there are."""
        return int(self.verdicts.sum())

    @property
    def highest(self) -> list[tuple[float, int]]:
        """Return score (NaN: none) and number of the anomalies with the highest scores, highest first."""
        return self._highest.ranked

    def add(self, page: Page) -> None:
        """Count verdicts that come after those before."""
        self.verdicts += np.bincount(page.verdict, minlength=3)
        np.add.at(self.labelled, (page.label, page.verdict), 1)
        self._add_over_time(page)
        self._add_scores(page)
        self.latency_ms.add(page.latency_ms)
        self._add_changes(page)
        self._add_gaps(page.time_ns)
        self._add_anomalies(page)

    def gaps(self) -> list[Gap]:
        """Return the stretches without a verdict, the longest first, that last a minute and 20 usual intervals."""
        period, least_s = self._period, self.gap_s
        found = list(self._gaps)
        if period.asked:
            length_ns = period.end_ns - period.begin_ns
            last_ns = self._counts_ns if self._last_ns is None else self._last_ns
            found += [_gap(period, last_ns, length_ns)]
        return sorted((gap for gap in found if gap.length_s >= least_s), reverse=True)

    @property
    def gap_s(self) -> float:
        """Return from which length on silence is a gap."""
        return max(_GAP_S, _TIMES_USUAL * (self._intervals_s.quantile(0.5) or 0.0))

    def _add_over_time(self, page: Page) -> None:
        buckets = self.over_time.shape[1]
        offset_ns = self._period.begin_ns - self._period.first_ns
        index = ((page.time_ns + offset_ns) // (self._period.bucket_s * 1e9)).astype(np.int64).clip(0, buckets - 1)
        self.over_time += np.bincount(page.verdict * buckets + index, minlength=3 * buckets).reshape(3, buckets)

    def _add_scores(self, page: Page) -> None:
        share = _share(page)
        drawn = share[np.isfinite(share)]
        self.unscored += len(share) - len(drawn)
        # T itself belongs to the normal side: a verdict is normal up to and including it.
        bins = np.ceil(drawn * (SCORE_BINS / SCORE_END) - 1e-9).astype(np.int64) - 1
        self.scores += np.bincount(bins.clip(0, SCORE_BINS), minlength=SCORE_BINS + 1)

    def _add_changes(self, page: Page) -> None:
        before = np.concatenate([[self._threshold], page.threshold[:-1]])
        where = np.flatnonzero(before != page.threshold)
        first = 0 if self.changes else 1
        self.changed += len(where) - (first if len(where) else 0)
        for index in where[: _CHANGES_KEPT - len(self.changes)]:
            at_ns = self._period.begin_ns + int(page.time_ns[index])
            self.changes.append(
                Change(at_ns, float(before[index]), float(page.threshold[index]), int(page.number[index]))
            )
        self._threshold = float(page.threshold[-1])

    def _add_gaps(self, time_ns: Numbers) -> None:
        first = self._last_ns
        if first is None:
            first = self._counts_ns if self._period.asked else float(time_ns[0])
        ends = np.concatenate([[first], time_ns])
        lengths_s = np.diff(ends) / 1e9
        self._intervals_s.add(lengths_s[0 if self._last_ns is not None else 1 :])
        for index in np.flatnonzero(lengths_s >= _GAP_S):
            gap = _gap(self._period, ends[index], ends[index + 1])
            push = heapq.heappush if len(self._gaps) < _GAPS_KEPT else heapq.heappushpop
            push(self._gaps, gap)
        self._last_ns = float(time_ns[-1])

    def _add_anomalies(self, page: Page) -> None:
        where = np.flatnonzero(page.verdict == ANOMALOUS)
        if not len(where):
            return
        minutes = (self._period.begin_ns + page.time_ns[where].astype(np.int64)) // _MINUTE_NS
        self._highest.add(minutes, page.score[where], page.number[where])
        self.latest = [int(number) for number in page.number[where[::-1][:SHOWN]]] + self.latest
        del self.latest[SHOWN:]


def _share(page: Page) -> Numbers:
    """Return score over threshold, NaN where there is no score or no positive threshold."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(page.threshold > 0, page.score / page.threshold, np.nan)


def _gap(period: Period, begin_ns: float, end_ns: float) -> Gap:
    return Gap((end_ns - begin_ns) / 1e9, period.begin_ns + int(begin_ns), period.begin_ns + int(end_ns))
