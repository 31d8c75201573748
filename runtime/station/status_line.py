"""A station in one line, as `systemctl status` shows it.

print(status_line(station.swap, station.cameras, paused=False, alarm=""))
"""

from ganspect.runtime.capture.feed_status import AWAY
from ganspect.runtime.station.cameras import Cameras
from ganspect.runtime.station.swap import Swap


def status_line(swap: Swap, cameras: Cameras, *, paused: bool, alarm: str) -> str:
    """Return what a station does and what is wrong; it changes seldom."""
    states = {name: feed.status().state for name, feed in cameras.feeds.items()}
    away = [f"{name} is {state}" for name, state in states.items() if state in AWAY]
    status = swap.status()
    parts = [f"{'paused,' if paused else 'inspecting with'} bundle {swap.bundle}"]
    parts += [f"another bundle is {status.state}"] if status.state != "idle" else []
    parts += [f"the last one was refused: {status.error}"] if status.error else []
    return "; ".join([*parts, *away, *(["verdicts are held"] if alarm else [])])
