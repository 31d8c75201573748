"""Brings one kind of fault about again and again on a plant of its own, and tells what came of it.

result = inject(FAULTS["stall"], Plan(count=100, long_every=33), bundle, folder)
"""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from station_rig.audit import LOSSES, Findings
from station_rig.evidence import Seen
from station_rig.faults import Fault
from station_rig.plant import CAMERA, PARTS, Plant

_PATIENCE_S = 90.0
_SHORT_S, _LONG_S = (0.2, 3.0), (35.0, 45.0)
_LONG_FROM_S = 20.0


@dataclass(frozen=True)
class Plan:
    """How often.

    Attributes:
        count: injections; None: as many as `seconds` allow, at least one.
        seconds: that they may take.
        long_every: each so-manieth outage is a long one; 0: none.
        outage_s: range of the other outages.
    """

    count: int | None = None
    seconds: float = 0.0
    long_every: int = 0
    outage_s: tuple[float, float] = _SHORT_S

    def goes_on(self, done: int, spent_s: float) -> bool:
        """Return whether there is one more."""
        if self.count is not None:
            return done < self.count
        return done == 0 or spent_s * (done + 1) / done < self.seconds


@dataclass
class _Outcomes:
    """What the injections gave; `recovery_s` is None where a new acknowledgement did not come in time."""

    outage_s: list[float] = field(default_factory=list)
    recovery_s: list[float | None] = field(default_factory=list)
    noticed: int = 0


def inject(fault: Fault, plan: Plan, bundle: Path, folder: Path) -> dict[str, Any]:
    """Return the figures of one kind of fault.

    Args:
        fault: which.
        plan: how often.
        bundle: that the station runs.
        folder: an empty one.
    """
    begin_s, chance, outcomes = time.monotonic(), random.Random(0), _Outcomes()
    with Plant.open(folder, bundle, **fault.plant) as plant:
        plant.wait_until_well()
        first_s = time.monotonic()
        while plan.goes_on(len(outcomes.outage_s), time.monotonic() - first_s):
            _once(fault, plan, plant, chance, outcomes)
        gaps = _gaps(fault, plant)
        findings = plant.finish()
        seconds = time.monotonic() - begin_s
        return {**_figures(outcomes, findings), **gaps, **_beside(fault, plant, outcomes), "seconds": round(seconds, 1)}


def _once(fault: Fault, plan: Plan, plant: Plant, chance: random.Random, outcomes: _Outcomes) -> None:
    """Let the plant run a moment, bring the fault about, take it away, wait for what is new."""
    log = fault.log(plant)
    _run_on(plant, chance.uniform(0.3, 0.9))
    number = len(outcomes.outage_s)
    outage_s = chance.uniform(*plan.outage_s) if fault.lasts else 0.0
    if fault.lasts and plan.long_every and number % plan.long_every == plan.long_every // 2:
        outage_s = chance.uniform(*_LONG_S)
    said, begin_s, since = _said(fault, plant), time.monotonic(), len(log.seen)
    fault.begin(plant)
    if fault.lasts:
        time.sleep(outage_s)
        since = len(log.seen)
        fault.end(plant)
    gone_s = time.monotonic() if fault.lasts else begin_s
    found = log.wait_for(fault.recovered(plant), since=since, timeout_s=_PATIENCE_S)
    outcomes.noticed += _said(fault, plant) > said
    outcomes.outage_s.append(gone_s - begin_s)
    outcomes.recovery_s.append(None if found is None else max(0.0, found.at_s - gone_s))


def _said(fault: Fault, plant: Plant) -> int:
    return plant.station.said(fault.sign) if fault.sign else 0


def _run_on(plant: Plant, seconds: float) -> None:
    """Let it run until a new verdict was seen, and for some time."""
    since = len(plant.witness.seen)
    plant.witness.wait_for(lambda seen: seen.camera == CAMERA, since=since, timeout_s=_PATIENCE_S)
    if plant.mqtt is not None:
        # Killed before its subscriber is back, the broker would forget all that it has taken meanwhile.
        plant.mqtt.subscriber.connected.wait(10)
    time.sleep(seconds)


def _figures(outcomes: _Outcomes, findings: Findings) -> dict[str, Any]:
    found = [value for value in outcomes.recovery_s if value is not None]
    pairs = zip(outcomes.outage_s, outcomes.recovery_s, strict=True)
    long = [value for outage, value in pairs if value is not None and outage >= _LONG_FROM_S]
    return {
        "count": len(outcomes.outage_s),
        "lost": findings.lost,
        "duplicates": findings.duplicates,
        "recovery_p50_s": _percentile(found, 50),
        "recovery_p99_s": _percentile(found, 99),
        "recovery_max_s": _percentile(found, 100),
        "not_recovered": len(outcomes.recovery_s) - len(found),
        "outage_p50_s": _percentile(outcomes.outage_s, 50),
        "outage_max_s": _percentile(outcomes.outage_s, 100),
        "long_outages": len(long),
        "recovery_after_long_p50_s": _percentile(long, 50),
        "lost_by": {name: asdict(findings)[name] for name in LOSSES},
        "duplicates_with_other_id": findings.judged_twice,
        "contradictory": findings.contradictory,
    }


def _gaps(fault: Fault, plant: Plant) -> dict[str, float]:
    """Return the longest time without an acknowledgement where the fault was, and of the parts in the folder."""
    log = fault.log(plant)

    def of_the_fault(seen: Seen) -> bool:
        return log is not plant.witness or seen.camera == CAMERA

    def of_the_parts(seen: Seen) -> bool:
        return seen.camera == PARTS

    return {
        "longest_gap_s": round(log.longest_gap_s(of_the_fault), 3),
        "longest_gap_of_other_camera_s": round(plant.witness.longest_gap_s(of_the_parts), 3),
    }


def _beside(fault: Fault, plant: Plant, outcomes: _Outcomes) -> dict[str, Any]:
    """Return what else tells whether the figures can be believed."""
    return {
        "verdicts": len({seen.uid for seen in plant.witness.seen}),
        "parts": len(plant.feeder.offered),
        "deliveries": plant.delivered,
        "forgotten_by_broker": plant.forgotten_by_broker,
        "torn_lines": plant.torn,
        "starts": plant.station.starts,
        "ended_well": sum(status == 0 for status in plant.statuses) == len(plant.statuses),
        "noticed": outcomes.noticed if fault.sign else None,
        "tracebacks": plant.station.said("Traceback (most recent call last)"),
        "first_traceback": plant.station.traceback(),
        "how": fault.how + (f" ({plant.disk.kind})" if plant.disk else ""),
    }


def _percentile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.percentile(values, share)), 3) if values else None
