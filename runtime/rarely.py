"""Events that may repeat for months, in a log that must not fill a disk: the first ones at once, then one now and then.

    rarely = Rarely()
    rarely.log(logging.WARNING, "left", "rtsp://cam cannot be opened", before="camera left: ")
    # after ten minutes: camera left: rtsp://cam cannot be opened (19 more times in the last 10 min)

Only the log is thinned out: status, metrics and page count every event.
"""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 3
EVERY_S = 600.0
_KINDS = 200
_log = logging.getLogger("ganspect.station")


@dataclass
class _Kind:
    """One kind of event: when it was logged and came last, and what was left out since."""

    logged_s: float
    came_s: float
    logged: int = 0
    left_out: int = 0


class Rarely:
    """Says which events are worth a line; may be used from several threads.

    Events are of one kind when topic and text are the same, numbers apart: counts and times differ with each try.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, at_once: int = AT_ONCE) -> None:
        """Begin with nothing said.

        Args:
            clock: seconds that only ever grow.
            at_once: how many of a kind are logged before they are thinned out.
        """
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def log(self, level: int, topic: str, text: str, *, before: str = "", error: BaseException | None = None) -> None:
        """Log an event in the station's log, if it is worth a line.

        Args:
            level: of `logging`.
            topic: see `text`.
            text: likewise.
            before: stands before it, and does not tell one kind from another: whose it is, an id, a figure.
            error: whose traceback follows.
        """
        if (said := self.text(topic, text)) is not None:
            _log.log(level, "%s%s", before, said, exc_info=error)

    def text(self, topic: str, text: str) -> str | None:
        """Return the text to log, with how many were left out before it, or None where this one is left out.

        Args:
            topic: what it is about, such as a camera.
            text: what happened.
        """
        now_s, key = self._clock(), (topic, re.sub(r"\d+", "0", text))
        with self._lock:
            kind = self._kinds.pop(key, None)
            if kind is None or now_s - kind.came_s > EVERY_S:
                kind = _Kind(now_s, now_s)  # new, or over for so long that it is news again
            self._kinds[key] = kind
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
            kind.came_s = now_s
            if kind.logged >= self._at_once and now_s - kind.logged_s < EVERY_S:
                kind.left_out += 1
                return None
            if kind.left_out:
                text += f" ({kind.left_out} more times in the last {(now_s - kind.logged_s) / 60:.0f} min)"
            kind.logged, kind.logged_s, kind.left_out = kind.logged + 1, now_s, 0
            return text
