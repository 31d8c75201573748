"""What cameras become, in the log.

feed = Feed(..., on_change=StateLog())
"""

import logging
import time
from collections.abc import Callable

from ganspect.runtime.capture.feed_status import AWAY, FeedStatus
from ganspect.runtime.rarely import Rarely

_log = logging.getLogger("ganspect.station")


class StateLog:
    """Logs what cameras become; call it with each change of state."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing said."""
        self._rarely = Rarely(clock)

    def __call__(self, status: FeedStatus) -> None:
        """Log a change: the first ones of a kind at once, then one in ten minutes."""
        if status.state == "opening" and status.failures:
            return  # that it is tried again goes without saying
        bad = status.state in AWAY
        text = f"is {status.state}" + (f": {status.error}" if status.error else "")
        level = logging.WARNING if bad else logging.INFO
        self._rarely.log(level, status.camera, text, before=f"camera {status.camera} ")
