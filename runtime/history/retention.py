"""Removes old verdicts in the background, a few at a time, so that no verdict waits long to be written.

with Retention(history, settings, sinks=("mqtt",)) as retention:
    print(retention.status())

Verdicts go in the order in which they came, by number. What bounds it: the age and the quota of the station file,
labels of a person, and how far each sink of the station file has come; a sink that was taken out of the file holds
nothing. Pages that become free are used again by the next verdicts; beyond some spare ones they go back to the disk.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from ganspect.errors import OutputError, one_line
from ganspect.runtime.history.clock import DoubtedClock
from ganspect.runtime.history.settings import HistorySettings
from ganspect.runtime.history.store import History

_log = logging.getLogger("ganspect.station")
_EVERY_S = 60.0
_BATCH, _MOST = 50, 1_000
_TARGET_S = 0.02
"""How long one batch may have the history; its size follows."""
_PAUSES = 4
"""How much longer than a batch the pause after it is, which is the recorder's."""
_SPARE_PAGES, _GIVEN_PAGES = 4_000, 200
_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class RetentionStatus:
    """Pruning at this moment.

    Attributes:
        removed: verdicts since the station began.
        used_mb: that the history takes, without free pages; None where it cannot be read.
        waits_for: the sink that has not delivered yet what is to be removed; empty: none.
        error: why nothing could be removed at last; empty when all is well.
    """

    removed: int
    used_mb: float | None
    waits_for: str
    error: str


class Retention:
    """A thread that prunes a history.

    Attributes:
        waits_for: see `RetentionStatus`; read without a look into the history.
        error: likewise.
    """

    def __init__(
        self,
        history: History,
        settings: HistorySettings,
        *,
        sinks: Sequence[str] = (),
        clock: DoubtedClock | None = None,
        every_s: float = _EVERY_S,
    ) -> None:
        """Begin, where the settings ask for anything.

        Args:
            history: to prune.
            settings: of the station file.
            sinks: names of those that deliver from the history and must not miss anything; already begun.
            clock: for the age of verdicts.
            every_s: from the end of a pass to the next.
        """
        self._history, self._settings, self._sinks, self._every_s = history, settings, tuple(sinks), every_s
        self._clock = clock or DoubtedClock(_newest_ns(history))
        self._removed, self.waits_for, self.error = 0, "", ""
        self._batch = _BATCH
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        if settings.keep_days is not None or settings.quota_mb is not None:
            self._thread.start()

    def status(self) -> RetentionStatus:
        """Return pruning as it is now."""
        used_mb = None
        with contextlib.suppress(OutputError):
            used_mb = round(self._history.size().used_bytes / 2**20, 2)
        return RetentionStatus(self._removed, used_mb, self.waits_for, self.error)

    def close(self, timeout_s: float = 5.0) -> None:
        """End after the batch that is under way."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def __enter__(self) -> "Retention":
        """Return the retention."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._prune()
                self._give_back()
                self.error = ""
            except Exception as error:  # a full disk, say: the next pass may succeed
                if not self.error:
                    _log.error("old verdicts cannot be removed: %s", one_line(error))
                self.error = one_line(error)
            self._ending.wait(self._every_s)

    def _prune(self) -> None:
        """Go through the history from its old end to the first verdict that stays."""
        after, waits_for = 0, ""
        while not self._ending.is_set():
            begin = time.monotonic()
            rows = self._history.select(
                "SELECT number, timestamp_ns, label FROM verdicts WHERE number > ? ORDER BY number LIMIT ?",
                (after, self._batch),
            )
            doomed, at_end, waits_for = self._choose(rows)
            if doomed:
                self._removed += self._history.remove(doomed, labelled=not self._settings.keep_labelled)
            if at_end or not rows:
                break
            after = rows[-1][0]
            self._pause(time.monotonic() - begin)
        if waits_for and waits_for != self.waits_for:
            _log.warning("old verdicts are kept until sink %s has delivered them", waits_for)
        self.waits_for = waits_for

    def _choose(self, rows: Sequence[tuple[int, int, str | None]]) -> tuple[list[int], bool, str]:
        """Return the numbers of rows to remove, whether the first that stays was met, and the sink that holds it."""
        old_ns, ahead_ns, too_many = self._limits()
        owed_from, sink = self._owed()
        doomed: list[int] = []
        for number, timestamp_ns, label in rows:
            if len(doomed) >= too_many and not timestamp_ns < old_ns:
                # What a wrong clock dated ahead must not keep all that came after it.
                if timestamp_ns > ahead_ns:
                    continue
                return doomed, True, ""
            if owed_from is not None and number >= owed_from:
                return doomed, True, sink
            if label is None or not self._settings.keep_labelled:
                doomed.append(number)
        return doomed, False, ""

    def _limits(self) -> tuple[float, float, int]:
        """Return before which time a verdict is old, after which it cannot be, and how many go for the quota."""
        keep_days = self._settings.keep_days
        now_ns = self._clock.now_ns() if keep_days is not None else None
        old_ns = float("-inf") if keep_days is None or now_ns is None else now_ns - keep_days * _DAY_NS
        ahead_ns = float("inf") if now_ns is None else now_ns + _DAY_NS
        return old_ns, ahead_ns, self._too_many()

    def _too_many(self) -> int:
        """Return how many verdicts are about as large as what is over the quota."""
        if self._settings.quota_mb is None:
            return 0
        used_bytes = self._history.size().used_bytes
        over_bytes = used_bytes - self._settings.quota_mb * 2**20
        if over_bytes <= 0:
            return 0
        # By their numbers: counting millions would read them all.
        ends = "SELECT (SELECT coalesce(min(number), 0) FROM verdicts), (SELECT coalesce(max(number), 0) FROM verdicts)"
        first, last = map(int, self._history.select(ends)[0])
        return math.ceil(over_bytes / used_bytes * (last - first + 1))

    def _owed(self) -> tuple[int | None, str]:
        """Return the first number that a sink of the station file owes, and that sink."""
        if not self._sinks:
            return None, ""
        places = ", ".join("?" * len(self._sinks))
        found = self._history.select(
            f"SELECT number, sink FROM deliveries WHERE sink IN ({places}) ORDER BY number LIMIT 1", self._sinks
        )
        return (found[0][0] + 1, found[0][1]) if found else (0, self._sinks[0])

    def _give_back(self) -> None:
        while not self._ending.is_set():
            begin, free = time.monotonic(), self._history.size().free
            if free <= _SPARE_PAGES:
                return
            self._history.give_back(min(_GIVEN_PAGES, free - _SPARE_PAGES))
            if self._history.size().free >= free:
                return  # a file of the first version, which keeps its pages
            self._pause(time.monotonic() - begin)

    def _pause(self, took_s: float) -> None:
        """Leave the history to others, and let the next batch be such that it takes about as long as it may."""
        factor = 0.5 if took_s > _TARGET_S else 1.5 if took_s < _TARGET_S / 2 else 1.0
        self._batch = min(max(round(self._batch * factor), 10), _MOST)
        self._ending.wait(min(_PAUSES * took_s, 2.0))


def _newest_ns(history: History) -> int | None:
    found = history.select("SELECT timestamp_ns FROM verdicts ORDER BY number DESC LIMIT 1")
    return int(found[0][0]) if found else None
