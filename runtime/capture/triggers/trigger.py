"""What all triggers have in common: they give signals, count them, and say whether they would hear the next one.

trigger = open_trigger(settings, camera="left", station="line3", give=buffer.signal)
trigger.start()
print(trigger.status().connected)
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ganspect.redaction import redacted
from ganspect.runtime.capture.buffers import Signal

MOST_SIGNS = 128
"""Characters of a part's name."""

Give = Callable[[str, int | None], Signal]
"""Takes a part's name, and `perf_counter_ns` of its signal; None: now."""

_log = logging.getLogger("ganspect.station")


@dataclass(frozen=True)
class TriggerStatus:
    """A camera's trigger at this moment.

    Attributes:
        camera: that it is of.
        kind: `mqtt`, `http` or `pin`.
        connected: whether it would hear a signal now.
        signals: that came since the station began.
        missed: signals for which no frame was inspected: parts that nobody has seen.
        ignored: messages that are no signals of now, such as those that a broker retained.
        error: why it is not connected; empty where it is.
    """

    camera: str
    kind: str
    connected: bool
    signals: int
    missed: int
    ignored: int
    error: str


class Trigger:
    """Gives a camera's signals; this class itself is one that somebody else calls, such as the page's server.

    Attributes:
        camera: that it is of.
        kind: of the trigger, as in the station file.
    """

    kind = "http"

    def __init__(self, camera: str, give: Give) -> None:
        """Take what takes the signals.

        Args:
            camera: that they are of.
            give: takes them; must not wait.
        """
        self.camera = camera
        self._give = give
        self._lock = threading.Lock()
        self._signals = self._ignored = 0
        self._error: str | None = ""  # None: not connected yet, and nothing is wrong with that

    def start(self) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """Listen no more."""

    def signal(self, name: str = "", given_ns: int | None = None) -> Signal:
        """Give a signal.

        Args:
            name: of the part; what is too long or cannot be shown is cut and replaced, since the part is there.
            given_ns: `time.perf_counter_ns()` of the signal; None: now.
        """
        given = self._give(shown_name(name), given_ns)
        with self._lock:
            self._signals += 1
        return given

    def status(self, missed: int = 0) -> TriggerStatus:
        """Return the trigger as it is now.

        Args:
            missed: signals without a frame, which the buffer knows.
        """
        error = self._error
        return TriggerStatus(self.camera, self.kind, error == "", self._signals, missed, self._ignored, error or "")

    def _ignore(self) -> None:
        with self._lock:
            self._ignored += 1

    def _is_connected(self) -> None:
        if self._error:
            _log.warning("camera %s: its trigger is there again", self.camera)
        self._error = ""

    def _is_away(self, reason: str) -> None:
        reason = redacted(reason)
        if not self._error:
            _log.error("camera %s: its trigger is away, parts pass without a signal: %s", self.camera, reason)
        self._error = reason


def shown_name(name: str) -> str:
    """Return a part's name that is short and can be printed."""
    return "".join(sign if sign.isprintable() else "?" for sign in name[:MOST_SIGNS])
