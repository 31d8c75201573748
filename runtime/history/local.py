"""A verdict's time of day on the clock of who reads it.

print(local_time(record["timestamp_ns"]).isoformat(timespec="milliseconds"))
"""

from datetime import datetime


def local_time(timestamp_ns: int) -> datetime:
    """Return a time of day with the local zone."""
    return datetime.fromtimestamp(timestamp_ns / 1e9).astimezone()
