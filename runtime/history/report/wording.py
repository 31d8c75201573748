"""Figures of the report in words."""

MISSING = "–"


def count(value: int) -> str:
    """Return a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(part: int, whole: int) -> str:
    """Return a share in percent, with enough digits that one in a million is not zero."""
    if whole == 0:
        return MISSING
    percent = 100 * part / whole
    if part and percent < 0.1:
        return f"{percent:.2g}%"
    return f"{percent:.1f}%"


def milliseconds(value: float | None) -> str:
    """Return a latency without its unit."""
    return MISSING if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def score(value: float | None) -> str:
    """Return a score or threshold."""
    return MISSING if value is None else f"{value:.4g}"
