"""An output as the page and the metrics show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputStatus:
    """An output at this moment.

    Attributes:
        name: of the output.
        kind: `modbus`, `pin` or `mqtt`.
        safe: why it is in its safe state; empty while it acts.
        connected: whether its PLC, pin or broker is there.
        rejected: parts that it has rejected since the station began.
        late: those of them that were later than promised.
        dropped: parts that were not rejected, since too many waited or the station stopped.
        failed: parts that were not rejected, since it could not be done in time.
        waiting: parts whose time has not come.
        beats: of the heartbeat.
        delay_p50_ms: from signal or arrival to the action, of the last parts; None before the first.
        delay_p99_ms: likewise.
        error: what the last failure said; empty since the last success.
    """

    name: str
    kind: str
    safe: str
    connected: bool
    rejected: int
    late: int
    dropped: int
    failed: int
    waiting: int
    beats: int
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    error: str
