"""A measuring process from the inside: it answers requests until its parent closes the pipe.

serve(sys.stdin, reserve_stdout(), open_session)
"""

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TextIO

from ganspect.runtime.bench.measurement import Measurement, Repetition, Sample
from ganspect.runtime.bench.memory import gpu_memory_mb, peak_rss_mb
from ganspect.runtime.bench.protocol import Message, error_message, send

_WARM_UP_S = 0.3
_WARM_UP_MOST_S = 3.0
_WARM_UP_LEAST = 3


class Session(Protocol):
    """What a process measures: a bundle on a backend, or the same in PyTorch."""

    def describe(self) -> Message:
        """Return name, precision, version, device and the modes that can be measured."""
        ...

    def repetition(self, measurement: Measurement) -> Repetition:
        """Return what runs a measurement once, its inputs ready."""
        ...

    def best_scores(self, steps: int) -> list[float]:
        """Return the best score of each of `Pool.compared` after K iterations, exit off."""
        ...

    def floor(self) -> Message:
        """Return the work of an iteration and the rate of matrix products; empty where that is not measured."""
        ...


class _Server:
    """Answers the requests of one process."""

    def __init__(self, open_session: Callable[[Mapping[str, Any]], Session]) -> None:
        self._open_session = open_session
        self._session: Session | None = None
        self._repetitions: dict[Measurement, Repetition] = {}

    def answer(self, request: Mapping[str, Any]) -> Message:
        if request["do"] == "open":
            return self._open(request)
        session = self._session
        if session is None:
            raise ValueError(f"{request['do']!r} came before 'open'")
        if request["do"] == "best_scores":
            return {"scores": session.best_scores(int(request["steps"]))}
        if request["do"] == "floor":
            return session.floor()
        measurement = Measurement(request["mode"], int(request["batch"]), int(request["steps"]))
        if request["do"] == "prepare":
            return self._prepare(session, measurement, float(request["seconds"]))
        return _measured(self._repetitions[measurement], float(request["seconds"]))

    def _open(self, request: Mapping[str, Any]) -> Message:
        begin_ns = time.perf_counter_ns()
        self._session = self._open_session(request)
        return {"load_ms": _since_ms(begin_ns), **self._session.describe()}

    def _prepare(self, session: Session, measurement: Measurement, seconds: float) -> Message:
        repeat = session.repetition(measurement)
        begin_ns = time.perf_counter_ns()
        repeat()
        first_run_ms = _since_ms(begin_ns)
        _warm_up(repeat, min(seconds, _WARM_UP_S))
        self._repetitions = {measurement: repeat}
        return {"first_run_ms": first_run_ms}


def serve(requests: Iterable[str], replies: TextIO, open_session: Callable[[Mapping[str, Any]], Session]) -> None:
    """Answer requests, a line each, until there are no more; an error is a reply too.

    Args:
        requests: lines; see `ganspect.runtime.bench.protocol`.
        replies: where answers go.
        open_session: makes the session of the first request, `open`.
    """
    server = _Server(open_session)
    for line in requests:
        try:
            reply: Message = {"ok": server.answer(json.loads(line))}
        except Exception as error:  # the parent must hear of every error, whatever it is
            traceback.print_exc()
            reply = error_message(error)
        send(replies, reply)


def leave_interrupts_to_the_parent() -> None:
    """Ignore Ctrl-C, which a terminal sends to all: the parent closes the pipe, and that ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _measured(repeat: Repetition, seconds: float) -> Message:
    # What other processes left in the caches is none of this one's latency.
    repeat()
    samples: list[Sample] = []
    end_ns = time.perf_counter_ns() + int(seconds * 1e9)
    while not samples or time.perf_counter_ns() < end_ns:
        samples.append(repeat())
    return {
        "samples_ms": [sample.duration_ms for sample in samples],
        "iterations": [sample.iterations for sample in samples],
        "calls": 1 + len(samples),
        "peak_rss_mb": peak_rss_mb(),
        "gpu_memory_mb": gpu_memory_mb(),
    }


def _warm_up(repeat: Repetition, seconds: float) -> None:
    begin_ns, count, elapsed_s = time.perf_counter_ns(), 0, 0.0
    while (count < _WARM_UP_LEAST or elapsed_s < seconds) and elapsed_s < _WARM_UP_MOST_S:
        repeat()
        count, elapsed_s = count + 1, (time.perf_counter_ns() - begin_ns) / 1e9


def _since_ms(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) / 1e6
