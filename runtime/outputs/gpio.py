"""A line of a GPIO chip as an output's level, through libgpiod.

level = GpioLevel(ChipLine(Path("/dev/gpiochip0"), 12), initially_high=False)
level.open(); level.set(True)
"""

import gpiod
from gpiod.line import Direction, Value

from ganspect.runtime.outputs.pin import Level
from ganspect.runtime.pins import ChipLine


class GpioLevel(Level):
    """A line that is requested for as long as the output lives; what it does afterwards is up to its driver."""

    def __init__(self, pin: ChipLine, *, initially_high: bool) -> None:
        """Take the line; nothing is requested yet.

        Args:
            pin: the chip and its line.
            initially_high: level that it gets with the request.
        """
        self._pin = pin
        self._high = initially_high
        self._request: gpiod.LineRequest | None = None

    def open(self) -> None:
        """Request the line.

        Raises:
            OSError: there is no such chip or line, it is in use, or may not be used.
        """
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=_value(self._high))
        self._request = gpiod.request_lines(str(self._pin.chip), consumer="ganspect", config={self._pin.line: settings})

    def set(self, high: bool) -> None:
        """Set the level."""
        self._high = high
        if self._request is not None:
            self._request.set_value(self._pin.line, _value(high))

    def close(self) -> None:
        """Give the line back."""
        request, self._request = self._request, None
        if request is not None:
            request.release()


def _value(high: bool) -> Value:
    return Value.ACTIVE if high else Value.INACTIVE
