"""A reject output that is a pin: a file as sysfs has it.

Pin(FileLevel(Path("/sys/class/gpio/gpio12/value")), active_high=True, heartbeat=None).set_level(True)
"""

from abc import ABC, abstractmethod
from pathlib import Path

from ganspect.runtime.outputs.medium import Medium, Part
from ganspect.runtime.pins import write_level


class Level(ABC):
    """Something electrical that is high or low."""

    @abstractmethod
    def open(self) -> None:
        """Make it ready."""

    @abstractmethod
    def set(self, high: bool) -> None:
        """Set it."""

    def close(self) -> None:  # noqa: B027  (a file is opened for each write)
        """Free it."""


class FileLevel(Level):
    """A pin's file."""

    def __init__(self, path: Path) -> None:
        """Take its path."""
        self._path = path

    def open(self) -> None:
        """See whether it is there.

        Raises:
            OSError: it is not, or cannot be written.
        """
        self._path.open("r+b").close()

    def set(self, high: bool) -> None:
        """Write it."""
        write_level(self._path, high)


class Pin(Medium):
    """A level, and another one that beats."""

    def __init__(self, level: Level, *, active_high: bool, heartbeat: Level | None) -> None:
        """Take what is set; nothing is touched yet.

        Args:
            level: what rejects.
            active_high: whether the high level does.
            heartbeat: changes with each beat; None: none.
        """
        self._level = level
        self._active_high = active_high
        self._heartbeat = heartbeat

    def connect(self) -> None:
        """Make the pins ready."""
        self.close()
        self._level.open()
        if self._heartbeat is not None:
            self._heartbeat.open()

    def reject(self, part: Part) -> None:
        """Let the level be that of rejecting."""
        self.set_level(True)

    def set_level(self, active: bool) -> None:
        """Set the level."""
        self._level.set(active == self._active_high)

    def beat(self, count: int) -> None:
        """Change the heartbeat's level."""
        if self._heartbeat is not None:
            self._heartbeat.set(count % 2 == 1)

    def close(self) -> None:
        """Free the pins."""
        self._level.close()
        if self._heartbeat is not None:
            self._heartbeat.close()
