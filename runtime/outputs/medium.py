"""What an output acts through; one class for each kind, all used by one thread."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part that is to be rejected.

    Attributes:
        camera: that saw it, or should have.
        verdict: on it; `unseen` where there is none.
        name: as the line's signal calls it; empty without a signal.
        uid: of the verdict in the history; empty where there is none.
        since_ns: `time.perf_counter_ns()` of its signal, or of its frame's arrival where there was no signal.
    """

    camera: str
    verdict: str
    name: str
    uid: str
    since_ns: int


class Medium(ABC):
    """A PLC, pin or broker. Every method may raise any error; it is then connected anew.

    Attributes:
        has_level: whether it stays active for a while, and has to be released.
    """

    has_level = True

    @abstractmethod
    def connect(self) -> None:
        """Make it ready; called at first and after each failure."""

    @abstractmethod
    def reject(self, part: Part) -> None:
        """Begin to reject a part; done when this returns."""

    @abstractmethod
    def set_level(self, active: bool) -> None:
        """Let the level be that of rejecting, or that of rest."""

    @abstractmethod
    def beat(self, count: int) -> None:
        """Show that the station inspects; counts up from 1."""

    def say_safe(self) -> None:  # noqa: B027  (a level says it by itself)
        """Say that nobody inspects."""

    @abstractmethod
    def close(self) -> None:
        """Free it; the level stays as it was set last."""
