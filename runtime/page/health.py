"""Whether a station does what it is there for: `/healthz`, and the page's line of problems.

print(health_of(station).ok, health_of(station).problems)
"""

import time
from dataclasses import dataclass

from ganspect.redaction import redacted
from ganspect.runtime.station.station import Station

_HANGS_AFTER_S = 30.0


@dataclass(frozen=True)
class Health:
    """A station's health.

    Attributes:
        ok: frames are taken and verdicts get to disk. A camera that is away does not change it: it is tried again for
            ever, and starting the station anew would not bring it back.
        problems: one sentence each, cameras that are away among them.
    """

    ok: bool
    problems: list[str]


def health_of(station: Station) -> Health:
    """Return how a station is now."""
    failing = []
    stands_s = time.monotonic() - station.turned_s
    if stands_s > _HANGS_AFTER_S:
        failing.append(f"inspection has stood still for {stands_s:.0f} s")
    if station.recorder.alarm:
        failing.append(f"verdicts do not get to disk: {redacted(station.recorder.alarm)}")
    problems = list(failing)
    for name, feed in station.cameras.feeds.items():
        status = feed.status()
        if status.state in ("stalled", "frozen", "lost"):
            problems.append(f"camera {name} is {status.state}")
    return Health(not failing, problems)
