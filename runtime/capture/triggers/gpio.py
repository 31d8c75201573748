"""Signals from a line of a GPIO chip, through libgpiod: the kernel sees each edge, debounces it and notes its time.

GpioTrigger("left", buffer.signal, ChipLine(Path("/dev/gpiochip0"), 12), edge="rising", debounce_ms=5).start()
"""

from datetime import timedelta

import gpiod
from gpiod.line import Clock, Direction
from gpiod.line import Edge as LineEdge

from ganspect.errors import SourceError, one_line
from ganspect.runtime.capture.triggers.pin import WatchedTrigger
from ganspect.runtime.capture.triggers.settings import Edge
from ganspect.runtime.capture.triggers.trigger import Give
from ganspect.runtime.pins import ChipLine

_LOOK_S = 0.25
_EDGES = {"rising": LineEdge.RISING, "falling": LineEdge.FALLING, "both": LineEdge.BOTH}


class GpioTrigger(WatchedTrigger):
    """Waits for the edges of a line."""

    def __init__(self, camera: str, give: Give, pin: ChipLine, *, edge: Edge, debounce_ms: float) -> None:
        """Request the line once.

        Args:
            camera: that the signals are of.
            give: takes them.
            pin: the chip and its line.
            edge: that is a signal.
            debounce_ms: how long a level must last to count.

        Raises:
            SourceError: there is no such chip or line, it is in use, or may not be used.
        """
        super().__init__(camera, give)
        self._chip = str(pin.chip)
        self._line = pin.line
        self._settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=_EDGES[edge],
            debounce_period=timedelta(milliseconds=debounce_ms),
            event_clock=Clock.MONOTONIC,  # on Linux the clock of time.perf_counter_ns
        )
        try:
            self._request().release()
        except (OSError, ValueError) as error:
            raise SourceError(
                f"the trigger of camera {camera} cannot use line {pin.line} of {pin.chip}: {one_line(error)}; gpioinfo "
                "shows what is there"
            ) from error

    def _request(self) -> gpiod.LineRequest:
        return gpiod.request_lines(self._chip, consumer="ganspect", config={self._line: self._settings})

    def _watch(self) -> None:
        with self._request() as request:
            self._is_connected()
            while not self._stopping.is_set():
                if request.wait_edge_events(_LOOK_S):
                    for event in request.read_edge_events():
                        self.signal(given_ns=event.timestamp_ns)
