"""Warnings that may come with every part: one in ten seconds, with how many there were.

late = Throttled("output plc was late")
late.say("part 7")      # output plc was late: part 7
"""

import logging
import threading
import time

_EVERY_S = 10.0
_log = logging.getLogger("ganspect.station")


class Throttled:
    """Logs the first one at once, and then the newest and how many came before it."""

    def __init__(self, text: str, every_s: float = _EVERY_S) -> None:
        """Take what is said of each."""
        self._text = text
        self._every_s = every_s
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._silent = 0

    def say(self, what: str) -> None:
        """Log it, or count it until it is time to log again."""
        with self._lock:
            self._silent += 1
            if time.monotonic() < self._next_s:
                return
            self._next_s = time.monotonic() + self._every_s
            more, self._silent = self._silent - 1, 0
        _log.error("%s: %s%s", self._text, what, f" and {more} more since the last line" if more else "")
