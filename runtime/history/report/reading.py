"""Verdicts of a period from the history, a camera after the other, a page at a time: memory does not grow with them.

for page in pages(history, "left", period): ...
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ganspect.runtime.history.query import Query
from ganspect.runtime.history.reading import read_record
from ganspect.runtime.history.report.period import Period
from ganspect.runtime.history.report.tally import Page, Tally
from ganspect.runtime.history.store import History

_PAGE = 20_000

_COLUMNS = """
    timestamp_ns - ?, number, CASE verdict WHEN 'normal' THEN 0 WHEN 'anomalous' THEN 1 ELSE 2 END,
    score, threshold, total_ms, CASE label WHEN 'normal' THEN 1 WHEN 'anomalous' THEN 2 ELSE 0 END
"""


def read_period(history: History, query: Query, now_ns: int) -> Period:
    """Return what was asked for; what was not is from the first verdict, and to the last or (with a begin) to now."""
    first, last = history.select(
        "SELECT (SELECT min(timestamp_ns) FROM verdicts), (SELECT max(timestamp_ns) FROM verdicts)"
    )[0]
    asked = query.since_ns is not None or query.until_ns is not None
    first, last = now_ns if first is None else first, (now_ns if last is None else last) + 1
    begin_ns = first if query.since_ns is None else query.since_ns
    end_ns = (max(last, now_ns) if query.since_ns is not None else last) if query.until_ns is None else query.until_ns
    return Period.of(min(begin_ns, end_ns - 1), end_ns, asked=asked, counts_ns=first)


def tallies(history: History, camera: str | None, period: Period) -> list[Tally]:
    """Count all cameras that have a verdict in the history, or one of them."""
    names = [camera] if camera is not None else history.cameras()
    found = []
    for name in names:
        tally = Tally(name, period)
        for page in pages(history, name, period):
            tally.add(page)
        found.append(tally)
    return found


def pages(history: History, camera: str, period: Period) -> Iterator[Page]:
    """Yield a camera's verdicts in the order of time."""
    after_ns, limit = period.begin_ns, _PAGE
    while True:
        rows = history.select(
            f"SELECT {_COLUMNS} FROM verdicts WHERE camera = ? AND timestamp_ns >= ? AND timestamp_ns < ?"
            " ORDER BY timestamp_ns LIMIT ?",
            (period.begin_ns, camera, after_ns, period.end_ns, limit),
        )
        full = len(rows) == limit
        if full:
            # Those of the last moment may not all be there: the next page begins with it.
            last = rows[-1][0]
            cut = next((index for index in range(len(rows), 0, -1) if rows[index - 1][0] != last), 0)
            if cut == 0:
                limit *= 2
                continue
            after_ns = period.begin_ns + last
            del rows[cut:]
        if rows:
            yield _page(rows)
        if not full:
            return


def records(history: History, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the records of verdicts by their numbers, in that order, with `label`; what is gone is left out.

    Raises:
        OutputError: a record is damaged.
    """
    found = []
    for number in numbers:
        rows = history.select("SELECT record, label FROM verdicts WHERE number = ?", (number,))
        what = f"verdict {number} in {history.path}"
        found += [{**read_record(record, what), "label": label} for record, label in rows]
    return found


def _page(rows: Sequence[tuple[Any, ...]]) -> Page:
    time_ns, number, verdict, score, threshold, latency_ms, label = zip(*rows, strict=True)
    return Page(
        np.array(time_ns, np.float64),
        np.array(number, np.float64),
        np.array(verdict, np.int64),
        np.array(score, np.float64),
        np.array(threshold, np.float64),
        np.array(latency_ms, np.float64),
        np.array(label, np.int64),
    )
