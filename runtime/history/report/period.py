"""The period of a report and its buckets of time.

period = Period.of(begin_ns, end_ns, asked=True)
print(period.bucket_s, period.buckets, period.local(period.begin_ns))
"""

import math
from dataclasses import dataclass

from ganspect.runtime.history.local import local_time

_MOST_BUCKETS = 96
_BUCKETS_S = (10, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 86_400)
_DAY_S = 86_400


@dataclass(frozen=True)
class Period:
    """A stretch of time, cut into buckets that begin at round times of the local clock.

    Attributes:
        begin_ns: time of day from which on.
        end_ns: time of day before which.
        asked: whether it was asked for, so that silence at its ends means something.
        bucket_s: length of a bucket.
        first_ns: where the first bucket begins, at or before `begin_ns`.
        counts_ns: from when the history has verdicts, within the period: silence before it says nothing.
    """

    begin_ns: int
    end_ns: int
    asked: bool
    bucket_s: int
    first_ns: int
    counts_ns: int

    @classmethod
    def of(cls, begin_ns: int, end_ns: int, *, asked: bool, counts_ns: int | None = None) -> "Period":
        """Choose the buckets: at most about a hundred, of days where the period is long.

        Args:
            begin_ns: time of day from which on.
            end_ns: time of day before which.
            asked: whether it was asked for.
            counts_ns: time of the history's first verdict, which may be before or after the period; None: before it.
        """
        length_s = max(1.0, (end_ns - begin_ns) / 1e9)
        days = math.ceil(length_s / _DAY_S / _MOST_BUCKETS)
        bucket_s = next((each for each in _BUCKETS_S if length_s / each <= _MOST_BUCKETS), _DAY_S * days)
        offset = local_time(begin_ns).utcoffset()
        offset_s = 0 if offset is None else round(offset.total_seconds())
        first_s = (begin_ns // 10**9 + offset_s) // bucket_s * bucket_s - offset_s
        counts_ns = begin_ns if counts_ns is None else min(max(begin_ns, counts_ns), end_ns)
        return cls(begin_ns, end_ns, asked, bucket_s, first_s * 10**9, counts_ns)

    @property
    def buckets(self) -> int:
        """Return how many buckets there are."""
        return max(1, math.ceil((self.end_ns - self.first_ns) / (self.bucket_s * 1e9)))

    def bucket_ns(self, index: int) -> int:
        """Return when a bucket begins."""
        return self.first_ns + index * self.bucket_s * 10**9

    def local(self, timestamp_ns: int, *, seconds: bool = True) -> str:
        """Return a time of day on the local clock, with its date where the period has more than one."""
        one_day = local_time(self.begin_ns).date() == local_time(self.end_ns).date()
        clock = "%H:%M:%S" if seconds else "%H:%M"
        return local_time(timestamp_ns).strftime(clock if one_day else f"%m-%d {clock}")


def length(seconds: float) -> str:
    """Return a duration in words: `2 h 05 min`, `3 d 4 h`, `48 s`."""
    minutes = round(seconds / 60)
    if seconds < 100 and seconds != 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
