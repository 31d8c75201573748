"""The thread that puts verdicts on disk, several in one commit, and holds them while the disk is full.

with Recorder(history, on_kept=acknowledge) as recorder:
    recorder.submit(entry)       # waits only while the disk is full and too many are held

An entry that can never be written, whatever the disk does, goes into rejected.jsonl beside the history, and the others
go on.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ganspect.errors import EntryError, OutputError
from ganspect.redaction import redacted
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.rejected import REJECTED, Rejected
from ganspect.runtime.history.store import History
from ganspect.runtime.rarely import Rarely

_log = logging.getLogger("ganspect.station")
_HELD_AT_MOST = 2_000
_BATCH = 200
_RETRY_S = 1.0


@dataclass(frozen=True)
class Kept:
    """An entry that is on disk, with what its submitter gave along."""

    entry: Entry
    ticket: Any


class Recorder:
    """Puts entries into a history, in order. What was submitted and not kept is held in memory, up to a limit.

    Attributes:
        kept: entries that are on disk.
        rejected: entries that could never be written and were put aside; they are never acknowledged.
        alarm: why nothing can be kept at the moment; empty when all is well.
    """

    def __init__(
        self,
        history: History,
        on_kept: Callable[[Sequence[Kept]], None],
        *,
        on_rejected: Callable[[Sequence[Kept]], None] = lambda batch: None,
        held_at_most: int = _HELD_AT_MOST,
    ) -> None:
        """Begin.

        Args:
            history: where entries go.
            on_kept: called from the recorder's thread with entries that are on disk now: they are acknowledged.
            on_rejected: called likewise with entries that were put aside.
            held_at_most: entries in memory, before `submit` waits.
        """
        self.kept = self.rejected = 0
        self.alarm = ""
        self._history = history
        self._on_kept = on_kept
        self._on_rejected = on_rejected
        self._rarely = Rarely()
        self._rejected = Rejected(history.path.with_name(REJECTED))
        self._most = held_at_most
        self._held: deque[Kept] = deque()
        self._bell = threading.Condition()
        self._ending, self._given_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def held(self) -> int:
        """Return how many entries are decided and not yet on disk."""
        return len(self._held)

    def submit(self, entry: Entry, ticket: Any = None, *, timeout_s: float | None = None) -> bool:
        """Hand over an entry; waits while too many are held, so that none is thrown away by itself.

        Args:
            entry: to keep.
            ticket: given back with it when it is kept; held as long, so it should be small.
            timeout_s: how long to wait; None: as long as it takes.

        Returns:
            Whether it was taken.
        """
        with self._bell:
            if not self._bell.wait_for(lambda: len(self._held) < self._most or self._ending.is_set(), timeout_s):
                return False
            self._held.append(Kept(entry, ticket))
            self._bell.notify_all()
            return True

    def close(self, timeout_s: float = 10.0) -> int:
        """Keep what is held, and return how many entries could not be kept in time.

        Those of a commit that is still under way then, as on a disk that hangs, may be kept all the same.
        """
        with self._bell:
            self._ending.set()
            self._bell.notify_all()
        if not self._given_up.is_set():  # once is enough, where the disk hangs
            self._thread.join(timeout_s)
        self._given_up.set()
        return len(self._held)

    def __enter__(self) -> "Recorder":
        """Return the recorder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what is held."""
        self.close()

    def _run(self) -> None:
        while True:
            with self._bell:
                self._bell.wait_for(lambda: self._held or self._ending.is_set())
                batch = [self._held[index] for index in range(min(_BATCH, len(self._held)))]
            if not batch:
                return
            try:
                self._keep(batch)
            except Exception as error:  # whatever it is: an entry that is not on disk is held, and tried again
                said = str(error) if isinstance(error, OutputError) else f"{type(error).__name__}: {error}"
                self.alarm = redacted(said)
                # Not woken by new entries: a full disk is asked once a second, however fast the line is.
                if self._given_up.wait(_RETRY_S):
                    return
                continue
            self.alarm = ""

    def _keep(self, batch: Sequence[Kept]) -> None:
        try:
            self._history.append([kept.entry for kept in batch])
        except EntryError:
            for kept in batch:
                self._keep_or_reject(kept)
        else:
            self._settle(batch, self._on_kept)

    def _keep_or_reject(self, kept: Kept) -> None:
        try:
            self._history.append([kept.entry])
        except EntryError as error:
            written = self._rejected.put_aside(kept.entry, str(error))
            where = f"put aside in {self._rejected.path}" if written else f"lost, since {self._rejected.path} is full"
            said = f"a verdict of camera {kept.entry.camera!a} can never be kept and is {where}: {error}"
            self._rarely.log(logging.ERROR, "", said)
            self.rejected += 1
            self._settle([kept], self._on_rejected)
        else:
            self._settle([kept], self._on_kept)

    def _settle(self, batch: Sequence[Kept], tell: Callable[[Sequence[Kept]], None]) -> None:
        """Take the oldest entries that are held as done, and tell whoever waits for it."""
        with self._bell:
            for _ in batch:
                self._held.popleft()
            if tell is self._on_kept:
                self.kept += len(batch)
            self._bell.notify_all()
        try:
            tell(batch)
        except Exception:  # the entries are safe, and those to come must be too
            _log.exception("what is to be done after verdicts are on disk failed")
