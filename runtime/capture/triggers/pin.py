"""Signals from a pin whose level a file shows, as sysfs and many drivers have it: 0 or 1 in a line.

Such a file tells nobody of a change, so it is read at a stated rate: a pulse must be longer than that. A line of a chip
(`GpioTrigger`) misses none.
"""

import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from ganspect.errors import SourceError, one_line
from ganspect.runtime.capture.triggers.settings import Edge
from ganspect.runtime.capture.triggers.trigger import Give, Trigger
from ganspect.runtime.pins import read_level

_AGAIN_S = 0.5


class Debounced:
    """Finds the edges of a level that may bounce."""

    def __init__(self, edge: Edge, debounce_ns: int) -> None:
        """Begin without knowing the level; the first one that is seen is no edge.

        Args:
            edge: that is looked for.
            debounce_ns: how long a level must last to count.
        """
        self._wanted = {"rising": (True,), "falling": (False,), "both": (True, False)}[edge]
        self._debounce_ns = debounce_ns
        self._level: bool | None = None
        self._changed_ns: int | None = None

    def see(self, level: bool, now_ns: int) -> int | None:
        """Take in the level of now, and return when an edge was that has just proved to be one, else None."""
        if self._level is None:
            self._level = level
        if level == self._level:
            self._changed_ns = None
            return None
        if self._changed_ns is None:
            self._changed_ns = now_ns
        if now_ns - self._changed_ns < self._debounce_ns:
            return None
        changed_ns, self._changed_ns, self._level = self._changed_ns, None, level
        return changed_ns if level in self._wanted else None


class WatchedTrigger(Trigger, ABC):
    """A pin that is watched by a thread, and opened again for ever when it fails."""

    kind = "pin"

    def __init__(self, camera: str, give: Give) -> None:
        """Prepare the thread."""
        super().__init__(camera, give)
        self._error = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"trigger {camera}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    @abstractmethod
    def _watch(self) -> None:
        """Give signals until it shall stop; raises OSError or ValueError when the pin fails."""

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (OSError, ValueError) as error:
                self._is_away(one_line(error))
                self._stopping.wait(_AGAIN_S)


class PinTrigger(WatchedTrigger):
    """Reads a pin's file at a stated rate."""

    def __init__(self, camera: str, give: Give, path: Path, *, edge: Edge, poll_ms: float, debounce_ms: float) -> None:
        """Read the pin once.

        Args:
            camera: that the signals are of.
            give: takes them.
            path: of the file.
            edge: that is a signal.
            poll_ms: between two looks.
            debounce_ms: how long a level must last to count.

        Raises:
            SourceError: the file cannot be read, or holds no level.
        """
        super().__init__(camera, give)
        self._path = path
        self._edge = edge
        self._poll_s = poll_ms / 1e3
        self._debounce_ns = round(debounce_ms * 1e6)
        try:
            read_level(path)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"the trigger of camera {camera} cannot read its pin: {one_line(error)}; export the pin, or "
                "correct its name"
            ) from error

    def _watch(self) -> None:
        edges = Debounced(self._edge, self._debounce_ns)
        while not self._stopping.wait(self._poll_s):
            level, now_ns = read_level(self._path), time.perf_counter_ns()
            self._is_connected()
            if (edge_ns := edges.see(level, now_ns)) is not None:
                self.signal(given_ns=edge_ns)
