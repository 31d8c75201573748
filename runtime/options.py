"""What an inspector may be asked for: modes, steps and time budgets.

check_options("search", steps=20, budget_ms=40.0)
"""

import math

from ganspect.bundle import Bundle
from ganspect.errors import ConfigError
from ganspect.records import CalibrationRecord, Mode, Threshold
from ganspect.sections import nearest

_MODES = ("search", "encoder")


def check_options(mode: str, steps: int | None, budget_ms: float | None) -> None:
    """Refuse what no inspector can do; the arguments are those of `Inspector.load`.

    Raises:
        ConfigError: an unknown mode, or steps or a budget that are impossible.
    """
    if mode not in _MODES:
        raise ConfigError(f"unknown mode {mode!r}; {nearest(mode, list(_MODES))}")
    if steps is not None and steps < 1:
        raise ConfigError(f"{steps} steps were asked for; give 1 or more, or leave it out for the calibration's")
    if budget_ms is not None and not 0 <= budget_ms < math.inf:
        raise ConfigError(f"a budget of {budget_ms} ms was asked for; give 0 or more, or leave it out for no limit")
    if mode == "encoder" and (steps is not None or budget_ms is not None):
        raise ConfigError(
            "steps and budget limit the search, which encoder mode has not; leave them out, or use search"
        )


def require_counted(steps: int, burn_in: int) -> None:
    """Refuse a search that ends before its scores count.

    Raises:
        ConfigError: it does.
    """
    if steps <= burn_in:
        raise ConfigError(
            f"{steps} steps were asked for, but this bundle's scores count after {burn_in}; give {burn_in + 1} or more"
        )


def mode_of(bundle: Bundle, mode: Mode | None, steps: int | None = None) -> Mode:
    """Return the mode that was asked for; None: the bundle's own.

    Raises:
        ConfigError: steps were asked for, and the bundle's own mode takes none.
    """
    if mode is not None:
        return mode
    if bundle.manifest.mode == "encoder" and steps is not None:
        raise ConfigError(
            f"{steps} steps were asked for, but {bundle.folder} gives its verdicts by its encoder, which takes none; "
            "leave them out, or ask for the mode search"
        )
    return bundle.manifest.mode


def threshold_of(bundle: Bundle, calibration: CalibrationRecord, mode: Mode) -> Threshold:
    """Return the threshold of a mode.

    Raises:
        ConfigError: encoder mode, and the bundle has no encoder.
    """
    if mode == "search":
        return calibration.search
    if calibration.encoder is None:
        raise ConfigError(
            f"{bundle.folder} has no encoder ({bundle.manifest.system}), so no encoder mode; use --mode search"
        )
    return calibration.encoder
