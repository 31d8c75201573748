"""The time of day as records have it.

created = utc_now()
"""

from datetime import datetime, timezone


def utc_now() -> str:
    """Return the time of day, ISO 8601 in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
