"""Energy while something runs, where the device counts it: RAPL, NVML, or a Jetson's power sensors.

    meter = find_meter()
    with meter.reading() as reading: ...
    print(reading.energy_j)

What is measured is the whole device, whatever else it does included.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganspect.runtime.bench import nvidia

_SAMPLE_S = 0.02
_ROOT = Path("/")


@dataclass
class Reading:
    """What a block took.

    Attributes:
        energy_j: in joules; None where nothing counts it.
    """

    energy_j: float | None = None


@dataclass(frozen=True)
class Meter:
    """Something that counts energy, or from whose power it can be added up.

    Attributes:
        source: what it is, for the record; None: there is none.
        counted_j: returns the joules so far, a counter.
        power_w: returns the power of this moment.
    """

    source: str | None = None
    counted_j: Callable[[], float | None] | None = None
    power_w: Callable[[], float | None] | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reading]:
        """Measure the block; the reading is complete when it has ended."""
        reading = Reading()
        if self.counted_j is not None:
            before = self.counted_j()
            yield reading
            after = self.counted_j()
            # A counter that ran over says nothing of this block.
            if before is not None and after is not None and after >= before:
                reading.energy_j = after - before
        elif self.power_w is not None:
            with _Sampler(self.power_w) as sampler:
                yield reading
            reading.energy_j = sampler.energy_j
        else:
            yield reading


def find_meter(root: Path = _ROOT) -> Meter:
    """Return the first that can be read: NVML, RAPL, then INA3221 sensors."""
    if nvidia.energy_j() is not None:
        return Meter("NVML: all GPUs", counted_j=nvidia.energy_j)
    packages = [path for path in sorted((root / "sys/class/powercap").glob("*-rapl:?")) if _number(path / "energy_uj")]
    if packages:
        return Meter("RAPL: processor packages", counted_j=lambda: _scaled_sum(packages, "energy_uj", 1e-6))
    rails = sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr1_input"))
    if rails and _ina_power_w(rails) is not None:
        return Meter("INA3221: the module's first rail, its whole input", power_w=lambda: _ina_power_w(rails))
    return Meter()


class _Sampler:
    """Adds up power in a thread of its own, by trapezoids."""

    def __init__(self, power_w: Callable[[], float | None]) -> None:
        self._power_w = power_w
        self._points: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def energy_j(self) -> float | None:
        """Return what the points add up to; None of fewer than two."""
        if len(self._points) < 2:
            return None
        pairs = zip(self._points, self._points[1:], strict=False)
        return sum((end[0] - begin[0]) * (begin[1] + end[1]) / 2 for begin, end in pairs)

    def __enter__(self) -> "_Sampler":
        self._take()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._take()

    def _run(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self._take()

    def _take(self) -> None:
        power = self._power_w()
        if power is not None:
            self._points.append((time.monotonic(), power))


def _ina_power_w(currents: list[Path]) -> float | None:
    """Return volts times amperes of the first channel of each sensor; hwmon gives millivolts and milliamperes."""
    total = 0.0
    for current in currents:
        milliamperes, millivolts = _number(current), _number(current.with_name("in1_input"))
        if milliamperes is None or millivolts is None:
            return None
        total += milliamperes * millivolts * 1e-6
    return total


def _scaled_sum(folders: list[Path], name: str, scale: float) -> float | None:
    values = [_number(folder / name) for folder in folders]
    known = [value for value in values if value is not None]
    return sum(known) * scale if len(known) == len(values) else None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
