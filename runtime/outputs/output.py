"""An output's thread: acts at the time that was promised, keeps the heartbeat, and goes into the safe state by itself.

output = Output("plc", medium, rules)
output.feed()                   # from the station's loop: inspection goes on
output.offer(part)              # to be rejected; never waits
"""

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

from ganspect.errors import one_line
from ganspect.runtime.capture.backoff import Backoff
from ganspect.runtime.outputs.medium import Medium, Part
from ganspect.runtime.outputs.status import OutputStatus
from ganspect.runtime.outputs.throttled import Throttled
from ganspect.runtime.percentiles import p50_p99

_WAITING = 1000
_DELAYS = 4096
_LOOK_NS = 100_000_000
_LATE_NS = 20_000_000
"""So much after its time an action counts as late even though its verdict was not."""
_STOPPING_S = 5.0
_log = logging.getLogger("ganspect.station")


@dataclass(frozen=True)
class Rules:
    """When an output acts; see its settings.

    Attributes:
        delay_ms: from signal or arrival to the action; 0: at once.
        give_up_ms: how long an action is tried.
        heartbeat_ms: between two beats.
        unfed_ms: without `feed` it goes into the safe state.
        pulse_ms: how long the level is active.
        safe_rejects: whether the level is active while nobody inspects.
    """

    delay_ms: float = 0.0
    give_up_ms: float = 1000.0
    heartbeat_ms: float = 500.0
    unfed_ms: float = 3000.0
    pulse_ms: float = 200.0
    safe_rejects: bool = False


@dataclass(order=True)
class _Waiting:
    due_ns: int
    order: int
    late: bool
    gives_up_ns: int
    part: Part


class Output:
    """Acts through a medium, in a thread of its own."""

    def __init__(self, name: str, kind: str, medium: Medium, rules: Rules) -> None:
        """Begin, in the safe state.

        Args:
            name: of the output.
            kind: of the output, as in the station file.
            medium: what it acts through.
            rules: when.
        """
        self.name, self._kind = name, kind
        self._medium, self._rules = medium, rules
        self._wake = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._order = itertools.count()
        self._delays_ms: deque[float] = deque(maxlen=_DELAYS)
        self._rejected = self._late = self._dropped = self._failed = self._beats = 0
        self._fed_ns: int | None = None
        self._reason, self._overrun = "inspection has not begun", False
        self._error, self._connected = "", False
        self._retry_ns = self._pulse_end_ns = self._next_beat_ns = 0
        self._level: bool | None = None
        self._said = ""
        self._told: str | None = None
        self._backoff = Backoff(0.1, 2.0)
        self._closing_s: float | None = None
        self._tell_late = Throttled(f"output {name} was late")
        self._tell_lost = Throttled(f"output {name} did not reject, and the part must count as not inspected")
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)
        self._thread.start()

    def feed(self) -> None:
        """Say that inspection goes on; call it with each turn of the loop."""
        self._fed_ns, self._reason = time.perf_counter_ns(), ""

    def rest(self, reason: str) -> None:
        """Go into the safe state until fed again, and say why."""
        self._fed_ns, self._reason = None, reason

    def offer(self, part: Part) -> None:
        """Let a part be rejected at its time; never waits."""
        now_ns = time.perf_counter_ns()
        due_ns = part.since_ns + round(self._rules.delay_ms * 1e6)
        late = self._rules.delay_ms > 0 and now_ns > due_ns
        # Without a delay nobody has said where the part is by then: it is acted at once, however late.
        gives_up_ns = (due_ns if self._rules.delay_ms else now_ns) + round(self._rules.give_up_ms * 1e6)
        with self._wake:
            if now_ns > gives_up_ns:  # the part has long passed, and another one is there now
                self._failed, self._overrun = self._failed + 1, True
            elif len(self._waiting) >= _WAITING or self._closing_s is not None:
                self._dropped, self._overrun = self._dropped + 1, True
            else:
                heapq.heappush(self._waiting, _Waiting(due_ns, next(self._order), late, gives_up_ns, part))
                self._wake.notify()
                return
        self._tell_lost.say(f"too many wait, or its time is long over ({_shown(part)})")

    def status(self) -> OutputStatus:
        """Return the output as it is now; cheap, from any thread."""
        with self._wake:
            delays_ms, waiting = list(self._delays_ms), len(self._waiting)
        p50_ms, p99_ms = p50_p99(delays_ms)
        return OutputStatus(
            name=self.name,
            kind=self._kind,
            safe=self._why_safe(),
            connected=self._connected,
            rejected=self._rejected,
            late=self._late,
            dropped=self._dropped,
            failed=self._failed,
            waiting=waiting,
            beats=self._beats,
            delay_p50_ms=p50_ms,
            delay_p99_ms=p99_ms,
            error=self._error,
        )

    def ask_to_close(self, timeout_s: float = _STOPPING_S) -> None:
        """Say that it shall reject what is on its way, as far as that takes no longer, and end in the safe state."""
        with self._wake:
            if self._closing_s is None:
                self._closing_s = time.monotonic() + timeout_s
            self._wake.notify()

    def close(self, timeout_s: float = _STOPPING_S) -> None:
        """Do so, and wait for it."""
        self.ask_to_close(timeout_s)
        self._thread.join(timeout_s + 2.0)

    def _run(self) -> None:
        while not self._may_end():
            with self._wake:
                self._wake.wait(self._idle_s())
            self._turn()
        self._end()

    def _may_end(self) -> bool:
        if self._closing_s is None:
            return False
        busy = self._waiting or time.perf_counter_ns() < self._pulse_end_ns
        return not busy or time.monotonic() > self._closing_s

    def _idle_s(self) -> float:
        now_ns = time.perf_counter_ns()
        if not self._connected:
            return max(0.0, min(self._retry_ns - now_ns, _LOOK_NS) / 1e9)
        times = [now_ns + _LOOK_NS, max(self._next_beat_ns, now_ns) if self._told == "" else now_ns + _LOOK_NS]
        if self._waiting:
            times.append(self._waiting[0].due_ns)
        if self._level and self._pulse_end_ns > now_ns:
            times.append(self._pulse_end_ns)
        return max(0.0, (min(times) - now_ns) / 1e9)

    def _turn(self) -> None:
        self._give_up()
        self._tell_state()
        if not self._connected and time.perf_counter_ns() < self._retry_ns:
            return
        try:
            if not self._connected:
                self._medium.connect()
                self._connected, self._level, self._told = True, None, None
                self._tell_state()
            self._act()
            self._settle()
            self._beat()
            self._succeed()
        except Exception as error:  # a PLC, pin or broker may fail in any way; the output lives on
            self._fail(error)

    def _act(self) -> None:
        while (one := self._next_due()) is not None:
            try:
                self._medium.reject(one.part)
            except BaseException:
                with self._wake:
                    heapq.heappush(self._waiting, one)
                raise
            done_ns = time.perf_counter_ns()
            self._level, self._pulse_end_ns = True, done_ns + round(self._rules.pulse_ms * 1e6)
            self._rejected += 1
            with self._wake:
                self._delays_ms.append((done_ns - one.part.since_ns) / 1e6)
            if one.late or (self._rules.delay_ms > 0 and done_ns > one.due_ns + _LATE_NS):
                self._late += 1
                self._tell_late.say(f"{_shown(one.part)} by {(done_ns - one.due_ns) / 1e6:.0f} ms")

    def _next_due(self) -> _Waiting | None:
        with self._wake:
            if not self._waiting:
                self._overrun = False
                return None
            return heapq.heappop(self._waiting) if self._waiting[0].due_ns <= time.perf_counter_ns() else None

    def _settle(self) -> None:
        """Let the level and what was said be those of now."""
        why = self._why_safe()
        level = time.perf_counter_ns() < self._pulse_end_ns or (why != "" and self._rules.safe_rejects)
        if self._medium.has_level and level != self._level:
            self._medium.set_level(level)
        self._level = level
        if (why == "") != (self._told == "") or self._told is None:
            if why:
                self._medium.say_safe()
            self._told = why

    def _beat(self) -> None:
        now_ns = time.perf_counter_ns()
        if self._told != "" or now_ns < self._next_beat_ns:
            return
        self._medium.beat(self._beats + 1)
        self._beats += 1
        self._next_beat_ns = now_ns + round(self._rules.heartbeat_ms * 1e6)

    def _why_safe(self) -> str:
        fed_ns, reason = self._fed_ns, self._reason
        if self._closing_s is not None:
            return "the station stops"
        if self._overrun:
            return "more parts are to be rejected than it can take"
        if fed_ns is not None and time.perf_counter_ns() - fed_ns > self._rules.unfed_ms * 1e6:
            return "the station's loop hangs"
        return reason

    def _give_up(self) -> None:
        """Forget what could not be done in time: the part has passed, and another one is there now."""
        now_ns = time.perf_counter_ns()
        with self._wake:
            gone = [one for one in self._waiting if one.gives_up_ns < now_ns]
            if not gone:
                return
            self._waiting = [one for one in self._waiting if one.gives_up_ns >= now_ns]
            heapq.heapify(self._waiting)
        self._failed += len(gone)
        for one in gone:
            self._tell_lost.say(f"{_shown(one.part)}, {self._error or 'it was not in time'}")

    def _succeed(self) -> None:
        if self._error:
            _log.warning("output %s works again", self.name)
        self._error = ""
        self._backoff.reset()

    def _fail(self, error: Exception) -> None:
        reason = one_line(error)
        if not self._error:
            _log.error("output %s does not work: %s", self.name, reason)
        self._error, self._connected = reason, False
        self._retry_ns = time.perf_counter_ns() + round(self._backoff.next_s() * 1e9)

    def _tell_state(self) -> None:
        why = self._why_safe()
        if why != self._said and (why or self._connected):
            if why:
                _log.warning("output %s is in its safe state: %s", self.name, why)
            else:
                _log.info("output %s acts", self.name)
            self._said = why

    def _end(self) -> None:
        with self._wake:
            left, self._waiting = len(self._waiting), []
        self._dropped += left
        if left:
            self._tell_lost.say(f"the station stopped before the time of {left} parts had come")
        self._pulse_end_ns = 0
        try:
            if self._connected:
                self._settle()
            self._medium.close()
        except Exception as error:  # nobody is there any more who could be told
            _log.error("output %s could not be set safe: %s", self.name, one_line(error))


def _shown(part: Part) -> str:
    return f"camera {part.camera}, {part.verdict}{f', part {part.name}' if part.name else ''}"
