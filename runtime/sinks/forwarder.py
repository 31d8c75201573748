"""A thread that brings verdicts from the history to somewhere else: in order, each at least once, for ever.

forwarder = Forwarder("orders", history, send)      # send takes a list of `Owed`, and raises when it could not
forwarder.notify()                                  # new verdicts are on disk

The history is the queue. How far a sink has come lies in it too, so a restart repeats nothing but what was sent and not
yet noted; whoever gets a verdict again tells by its `id`.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ganspect.errors import OutputError, one_line
from ganspect.runtime.capture.backoff import Backoff
from ganspect.runtime.history.store import History

_log = logging.getLogger("ganspect.station")
_BATCH = 100
_LOOK_S = 1.0
_NOTE_S = 10.0


@dataclass(frozen=True)
class Owed:
    """A verdict that is to be delivered.

    Attributes:
        number: in the history; ascending.
        uid: its id.
        camera: that it is of.
        verdict: `normal`, `anomalous` or `undecided`.
        line: the record as one line of JSON.
    """

    number: int
    uid: str
    camera: str
    verdict: str
    line: str


@dataclass(frozen=True)
class SinkStatus:
    """A sink at this moment.

    Attributes:
        name: of the sink.
        delivered: verdicts since the station began.
        owed: verdicts that are on disk and not delivered yet.
        failures: tries that failed.
        error: what the last one said; empty since the last success.
        refused: verdicts that the receiver will never take, by its own word; neither delivered nor owed.
    """

    name: str
    delivered: int
    owed: int
    failures: int
    error: str
    refused: int = 0


class Forwarder:
    """Delivers what the history holds.

    Attributes:
        name: under which the history notes how far it has come.
        refused: returns how many verdicts the receiver will never take.
        error: see `SinkStatus`.
    """

    def __init__(
        self,
        name: str,
        history: History,
        send: Callable[[Sequence[Owed]], None],
        *,
        verdicts: Sequence[str] = (),
        batch: int = _BATCH,
        idle: Callable[[], None] = lambda: None,
        refused: Callable[[], int] = lambda: 0,
        backoff: Backoff | None = None,
    ) -> None:
        """Begin where the sink of this name has ended.

        Args:
            name: of the sink.
            history: what it delivers.
            send: delivers a batch; raises anything where it could not, and then gets it again.
            verdicts: kinds that are delivered; none: all.
            batch: verdicts in one call of `send`; what was sent is noted after each.
            idle: called now and then while nothing is owed, to stay in touch; may raise as `send`.
            refused: how many of those that `send` was given the receiver will never take.
            backoff: waits after failures.
        """
        self.name = name
        self._history = history
        self._send = send
        self._verdicts = frozenset(verdicts)
        self._backoff = backoff or Backoff()
        self._at = history.delivered(name)
        self._sent = self._failures = 0
        self.error = ""
        self._batch = batch
        self._idle = idle
        self.refused = refused
        self._noted, self._noted_s = self._at, time.monotonic()
        self._news = threading.Event()
        self._ending, self._given_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Say that there may be something new; while it fails, the waits are kept all the same."""
        self._news.set()

    def status(self) -> SinkStatus:
        """Return the sink as it is now."""
        owed, error, refused = 0, self.error, self.refused()
        try:
            owed = self._history.count_after(self._at, self._verdicts)
        except OutputError as unreadable:  # the others are shown all the same
            error = one_line(unreadable)
        return SinkStatus(self.name, max(0, self._sent - refused), owed, self._failures, error, refused)

    def close(self, timeout_s: float = 5.0) -> None:
        """Deliver what is there if it goes at once, and end; the rest is delivered after the next start."""
        self._ending.set()
        self.notify()
        self._thread.join(timeout_s)
        self._given_up.set()
        self._thread.join(_LOOK_S)

    def _run(self) -> None:
        while not self._given_up.is_set():
            try:
                self._news.clear()  # before looking: what comes meanwhile rings again
                if self._deliver_some():
                    continue
                # Not after each verdict that nobody wants: noting costs a commit.
                if self._ending.is_set() or time.monotonic() - self._noted_s >= _NOTE_S:
                    self._note()
                if self._ending.is_set():
                    return
                self._idle()
                self._note_success()
                self._news.wait(_LOOK_S)
            except Exception as error:  # a broker or server may fail in any way; the sink lives on
                if self._given_up.is_set():
                    return
                self._note_failure(error)
                if self._ending.wait(self._backoff.next_s()):
                    return

    def _deliver_some(self) -> bool:
        owed = [Owed(*row) for row in self._history.after(self._at, self._batch)]
        if not owed:
            return False
        wanted = [one for one in owed if not self._verdicts or one.verdict in self._verdicts]
        if wanted:
            self._send(wanted)
        self._at = owed[-1].number
        # What nobody wants is passed over in memory; noting it now and then is enough.
        if wanted or self._at - self._noted >= _BATCH:
            self._note()
        self._sent += len(wanted)
        if wanted:
            self._note_success()
        return True

    def _note(self) -> None:
        """Let the history know how far it has come, so that what is behind may be removed."""
        if self._at != self._noted:
            self._history.note_delivered(self.name, self._at)
            self._noted = self._at
        self._noted_s = time.monotonic()

    def _note_success(self) -> None:
        self._backoff.reset()
        if self.error:
            _log.warning("sink %s delivers again", self.name)
        self.error = ""

    def _note_failure(self, error: Exception) -> None:
        reason = one_line(error)
        if not self.error:
            _log.warning("sink %s does not deliver: %s", self.name, reason)
        self._failures += 1
        self.error = reason
