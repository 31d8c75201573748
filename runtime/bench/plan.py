"""What was asked for, checked before anything starts.

plan = read_plan(BenchOptions(batches="1,16", seconds=5.0))
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganspect.bundle import Bundle
from ganspect.errors import ConfigError
from ganspect.records import PRECISIONS, Precision
from ganspect.runtime.backends.selection import find_engine
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.bench import BenchOptions
from ganspect.runtime.bench.measurement import Measurement, Mode
from ganspect.sections import known_precision

LARGEST_BATCH = 4096
_LONGEST_S = 3600


@dataclass(frozen=True)
class Plan:
    """What to measure, as asked.

    Attributes:
        backends: by name; none: all that run here.
        precisions: none: all that a backend offers.
        batches: ascending.
        seconds: for each row.
        tuning: of the backends.
    """

    backends: tuple[str, ...]
    precisions: tuple[Precision, ...]
    batches: tuple[int, ...]
    seconds: float
    tuning: Tuning


def read_plan(options: BenchOptions) -> Plan:
    """Check what was asked for.

    Raises:
        ConfigError: an unknown backend or precision, or an impossible batch or time.
    """
    for name in options.backends:
        find_engine(name)
    for precision in options.precisions:
        known_precision(precision)
    if not 0 < options.seconds <= _LONGEST_S:
        raise ConfigError(
            f"{options.seconds:g} seconds for each row were asked for; give more than 0 and at most {_LONGEST_S}"
        )
    precisions = tuple(precision for precision in PRECISIONS if precision in options.precisions)
    backends = tuple(dict.fromkeys(options.backends))
    return Plan(backends, precisions, _batches(options.batches), options.seconds, options.tuning)


def measurements_of(
    batches: Sequence[int], steps: int, *, has_encoder: bool, has_anomalous: bool
) -> tuple[Measurement, ...]:
    """Return all measurements, small batches first, so that a process's peak memory is that of its batch.

    The search is timed over its number of steps too, at the smallest batch.
    """
    modes: list[Mode] = ["encoder"] if has_encoder else []
    modes += ["search_step", "search", "search_exit"]
    modes += ["search_exit_anomalous"] if has_anomalous else []
    found = []
    for batch in batches:
        frames: list[Mode] = ["frame", "frame_anomalous"] if has_anomalous else ["frame"]
        found += [Measurement(mode, batch, steps) for mode in (*modes, *(frames if batch == 1 else []))]
        if batch == batches[0]:
            found += [Measurement("search", batch, count) for count in _other_steps(steps)]
    return tuple(found)


def require_steps(bundle: Bundle, steps: int | None) -> int:
    """Return K: as asked, or the calibration's.

    Raises:
        CalibrationError: the bundle was never calibrated.
        ConfigError: no score would count after so few.
    """
    count, burn_in = steps or bundle.require_calibration().steps, bundle.manifest.search.burn_in
    if count <= burn_in:
        raise ConfigError(
            f"{count} steps were asked for, but this bundle's scores count after {burn_in}; give {burn_in + 1} or more"
        )
    return count


def _batches(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    counts = {int(part) for part in parts if part.isascii() and part.isdigit()}
    if len(counts) == 0 or not all(part.isascii() and part.isdigit() for part in parts) or min(counts) < 1:
        raise ConfigError(f"batch {text!r} was asked for; give whole numbers from 1 with commas between, such as 1,16")
    if max(counts) > LARGEST_BATCH:
        raise ConfigError(f"a batch of {max(counts)} images was asked for; give at most {LARGEST_BATCH}")
    return tuple(sorted(counts))


def _other_steps(steps: int) -> list[int]:
    counts = {1, max(1, math.ceil(steps / 4)), max(1, math.ceil(steps / 2)), 2 * steps}
    return sorted(counts - {steps})
