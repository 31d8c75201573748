"""Whether a station does what it is there for: `/healthz`, and the page's line of problems.

print(health_of(station).ok, health_of(station).problems)
"""

import time
from dataclasses import dataclass

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
        failing.append(f"verdicts do not get to disk: {station.recorder.alarm}")
    return Health(not failing, [*failing, *_blind(station), *_warnings(station)])


def _blind(station: Station) -> list[str]:
    """Return the cameras whose parts nobody sees."""
    found = [f"camera {name}: {why}" for name, why in station.cameras.unwell().items()]
    return found + [
        f"camera {name}: its last {count} frames could not be judged: {reason}"
        for name, (count, reason) in station.counts.failing().items()
    ]


def _warnings(station: Station) -> list[str]:
    """Return what an operator should look at while the station goes on."""
    found = [
        f"camera {one.camera} has drifted: look at lens, light and focus"
        for one in station.drift.status()
        if one.alarmed
    ]
    for one in station.outputs.status():
        if one.safe:
            found.append(f"output {one.name} is in its safe state: {one.safe}")
        if one.error:
            lost = one.failed + one.dropped
            found.append(
                f"output {one.name} rejects nothing: {one.error}" + (f"; {lost} parts went by" if lost else "")
            )
    found += [
        f"camera {name}: {share:.0%} of its last verdicts are undecided, since the search runs out of budget_ms; give "
        "it more time, fewer iterations, or a faster backend"
        for name, share in station.counts.hurried().items()
    ]
    swap, good = station.swap.status(), station.good_period.status()
    found += _kept(station)
    if swap.error:
        found.append(f"the bundle that was to be taken was refused: {swap.error}")
    if good.state == "off" and good.complete is False:
        found.append(f"good period {good.name} is incomplete and cannot be used: {good.reason}")
    return found


def _kept(station: Station) -> list[str]:
    """Return what is wrong with verdicts that were decided."""
    found = []
    if aside := station.recorder.rejected:
        found.append(f"verdicts that the history does not take were put aside or lost: {aside}; the log says why")
    found += [f"sink {name} does not deliver: {error}" for name, error in station.sinks.failing().items()]
    found += [
        f"sink {name}: the server refused {count} verdicts for good; the log says why"
        for name, count in station.sinks.refused().items()
    ]
    if station.retention.error:
        found.append(f"old verdicts cannot be removed: {station.retention.error}")
    if station.retention.waits_for:
        found.append(f"old verdicts are kept until sink {station.retention.waits_for} has delivered them")
    return found
