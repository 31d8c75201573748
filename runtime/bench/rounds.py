"""Measuring in turns, A B A B: what else the machine does meets all alike, and nothing runs beside what is timed.

results = measure(contenders, measurements, seconds=2.0, meter=find_meter(), progress=progress)
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.progress import Progress

from ganspect.errors import GanspectError
from ganspect.runtime.bench.contenders import Contender, Contenders
from ganspect.runtime.bench.energy import Meter
from ganspect.runtime.bench.measurement import Measurement
from ganspect.runtime.bench.sensors import busy_s

ROUNDS = 5
"""Turns of each process for each measurement; their samples are pooled."""

PAUSE_S = 0.05
"""A thread pool may spin for a moment after a call."""

_CALM_WINDOW_S = 0.01
_CALM_SHARE = 0.2
_CALM_AT_MOST_S = 1.0


@dataclass
class Result:
    """A measurement of one contender, all rounds together.

    Attributes:
        described: of the contender.
        measurement: what was timed.
        is_reference: whether it is PyTorch.
        first_run_ms: the first call in that process; with loading, where no row before loaded the graph.
        samples_ms: of each repetition.
        iterations: of each repetition, mean over its images.
        calls: repetitions, and those before them that were not timed: what the energy is of.
        peak_rss_mb: of the process until then.
        gpu_memory_mb: of the process; None without a GPU.
        energy_j: of the device, all rounds; None where not counted.
        others_s: processor time that all other processes took meanwhile; None where the kernel does not say.
        wall_s: time that the rounds took.
    """

    described: dict[str, Any]
    measurement: Measurement
    is_reference: bool
    first_run_ms: float
    samples_ms: list[float] = field(default_factory=list)
    iterations: list[float] = field(default_factory=list)
    calls: int = 0
    peak_rss_mb: float = 0.0
    gpu_memory_mb: float | None = None
    energy_j: float | None = None
    others_s: float | None = None
    wall_s: float = 0.0


def measure(
    contenders: Contenders, measurements: Sequence[Measurement], *, seconds: float, meter: Meter, progress: Progress
) -> list[Result]:
    """Take all measurements, one after the other, the contenders by turns.

    Args:
        contenders: those that fail without being required are dropped, with the reason.
        measurements: in this order.
        seconds: for each measurement of each contender.
        meter: of energy.
        progress: gets a task.

    Raises:
        GanspectError: a required contender failed.
    """
    task = progress.add_task("bench", total=len(measurements) * (ROUNDS + 1), detail="")
    results: list[Result] = []
    for measurement in measurements:
        progress.update(task, detail=f"{measurement.mode}, batch {measurement.batch}, K {measurement.steps}")
        current = _prepared(contenders, measurement, seconds)
        progress.advance(task)
        for _ in range(ROUNDS):
            for contender, result in current:
                if contender in contenders.running:
                    _take_turn(contenders, contender, result, seconds / ROUNDS, meter)
            progress.advance(task)
        results += [result for _, result in current if result.samples_ms]
    return results


class _OthersClock:
    """Counts what processes other than a contender take of the processor: they spoil what is measured."""

    def __init__(self, contender: Contender) -> None:
        self._process = contender.process
        self._begin = time.monotonic(), busy_s(), self._process.processor_ns()

    def stop(self, result: Result) -> None:
        wall_s, busy, own_ns = self._begin
        now_busy = busy_s()
        result.wall_s += time.monotonic() - wall_s
        if busy is not None and now_busy is not None:
            others_s = now_busy - busy - (self._process.processor_ns() - own_ns) / 1e9
            result.others_s = (result.others_s or 0.0) + others_s


def _prepared(contenders: Contenders, measurement: Measurement, seconds: float) -> list[tuple[Contender, Result]]:
    found = []
    for contender in [one for one in contenders.running if one.can(measurement)]:
        _wait_until_calm(contenders)
        try:
            answer = contender.process.ask("prepare", **measurement._asdict(), seconds=seconds)
        except GanspectError as error:
            _give_up(contenders, contender, measurement, error)
            continue
        result = Result(contender.described, measurement, contender.is_reference, answer["first_run_ms"])
        found.append((contender, result))
    return found


def _take_turn(contenders: Contenders, contender: Contender, result: Result, seconds: float, meter: Meter) -> None:
    _wait_until_calm(contenders)
    clock = _OthersClock(contender)
    try:
        with meter.reading() as reading:
            answer = contender.process.ask("measure", **result.measurement._asdict(), seconds=seconds)
    except GanspectError as error:
        _give_up(contenders, contender, result.measurement, error)
        return
    clock.stop(result)
    result.samples_ms += answer["samples_ms"]
    result.iterations += answer["iterations"]
    result.calls += answer["calls"]
    result.peak_rss_mb = answer["peak_rss_mb"]
    result.gpu_memory_mb = answer["gpu_memory_mb"]
    if reading.energy_j is not None:
        result.energy_j = (result.energy_j or 0.0) + reading.energy_j


def _give_up(contenders: Contenders, contender: Contender, measurement: Measurement, error: GanspectError) -> None:
    where = f"{measurement.mode} at batch {measurement.batch}"
    if contender.required:
        raise type(error)(f"{contender.label} cannot run {where}: {error}") from error
    contenders.drop(contender, f"{where}: {error}")


def _wait_until_calm(contenders: Contenders) -> None:
    """Let the idle processes' threads stop spinning before the next one begins."""
    time.sleep(PAUSE_S)
    end_s = time.monotonic() + _CALM_AT_MOST_S
    while time.monotonic() < end_s:
        before_ns = _processor_ns(contenders)
        time.sleep(_CALM_WINDOW_S)
        if _processor_ns(contenders) - before_ns < _CALM_SHARE * _CALM_WINDOW_S * 1e9:
            return


def _processor_ns(contenders: Contenders) -> int:
    return sum(contender.process.processor_ns() for contender in contenders.running)
