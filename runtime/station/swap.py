"""Another bundle at run time: loaded and tried beside the one that judges, taken between two frames, given back if bad.

swap.ask()                      # from anywhere, also a signal handler
swap.between_frames()           # from the loop: the new one takes over here
verdict = swap.inspect(frame)   # in its first frames, one that it cannot judge goes to the old one, which stays then
"""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ganspect.errors import BundleError, ConfigError, one_line
from ganspect.preprocess import Frame
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.station.notify import Supervisor
from ganspect.runtime.verdict import Verdict

_log = logging.getLogger("ganspect.station")
TRIAL_FRAMES = 20
_CLOSING_S = 10.0
_ID_DIGITS = 16


@dataclass(frozen=True)
class SwapStatus:
    """What is in force, and what becomes of the bundle that was asked for.

    Attributes:
        state: `idle`; `asked`; `loading` and testing; `ready` for the loop; on `trial` in force.
        bundle: id of the one in force, as verdicts have it: the beginning of its manifest's SHA-256.
        folder: where it lies, links followed.
        calibration: when the calibration in force was made.
        swapped: bundles that took over.
        refused: that were asked for and could not be loaded, or failed the self-test; the old one stayed.
        rolled_back: that took over and failed in their first frames; the old one came back.
        error: why the last one failed; empty where it did not.
        changed_ns: time of day of the last change of this.
    """

    state: Literal["idle", "asked", "loading", "ready", "trial"]
    bundle: str
    folder: str
    calibration: str
    swapped: int = 0
    refused: int = 0
    rolled_back: int = 0
    error: str = ""
    changed_ns: int = 0


class Swap:
    """The inspector in force, and a thread that prepares the next one.

    Attributes:
        inspector: in force; changes only in `between_frames` and `inspect`.
        followers: told of each inspector that comes into force, also by a roll-back, from the loop, before its next
            frame; they must neither wait nor raise.
    """

    def __init__(self, inspector: Inspector, load: Callable[[], Inspector], test: Callable[[Inspector], None]) -> None:
        """Begin with an inspector; it and those that follow are closed here.

        Args:
            inspector: in force at the start.
            load: opens the bundle anew; runs in a thread of its own.
            test: raises where an inspector may not take over; likewise.
        """
        self.inspector = inspector
        self.followers: list[Callable[[Inspector], None]] = []
        self.supervisor = Supervisor()
        self._load, self._test = load, test
        # A SimpleQueue may be put to from a signal handler, whatever the interrupted thread holds.
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._over = threading.Event()
        self._closing = threading.Event()
        self._ending = False
        self._lock = threading.Lock()
        self._ready: Inspector | None = None
        self._before: Inspector | None = None
        self._spent: list[Inspector] = []
        self._left = 0
        self._status = SwapStatus("idle", *_named(inspector), changed_ns=time.time_ns())
        self._thread = threading.Thread(target=self._serve, name="next bundle", daemon=True)
        self._thread.start()

    @property
    def bundle(self) -> str:
        """Return the id of the bundle in force."""
        return self.inspector.bundle.manifest_sha256[:_ID_DIGITS]

    def ask(self) -> None:
        """Have the bundle loaded anew; returns at once, and what is asked meanwhile is done afterwards, once."""
        if not self._ending:
            self._asked.put(True)

    def end(self) -> None:
        """Load nothing any more: the station stops."""
        self._ending = True

    def status(self) -> SwapStatus:
        """Return what is in force and what is going on."""
        status = self._status
        waits = status.state == "idle" and not self._asked.empty()
        return replace(status, state="asked") if waits else status

    @property
    def on_trial(self) -> bool:
        """Return whether a bundle has taken over that the one before still stands in for."""
        return self._before is not None

    def between_frames(self) -> None:
        """Let a bundle that is ready take over, and end the trial of the last one where another is asked for."""
        if self._ready is not None:
            new, self._ready = self._ready, None
            self._before, self._left = self.inspector, TRIAL_FRAMES
            self._put_in_force(new)
            self._set(state="trial", swapped=self._status.swapped + 1, error="")
            _log.warning("bundle %s from %s is in force", self.bundle, new.bundle.folder)
            self.supervisor.ready()
        elif self._before is not None and not self._asked.empty():
            self._end_trial(self._before)

    def inspect(self, frame: Frame) -> Verdict:
        """Judge a frame; see `Inspector.inspect`. One that a bundle on trial fails on is judged by the one before."""
        before = self._before
        if before is None:
            return self.inspector.inspect(frame)
        try:
            verdict = self.inspector.inspect(frame)
            if not math.isfinite(verdict.score):
                raise BundleError("it gives a frame a score that is no number")
        except Exception as error:
            verdict = before.inspect(frame)  # where this fails too, the frame is at fault and not the new bundle
            self._roll_back(before, error)
            return verdict
        self._left -= 1
        if self._left <= 0:
            self._end_trial(before)
        return verdict

    def close(self) -> None:
        """End, and free every inspector; one that is still being loaded is waited for, for a few seconds."""
        self._closing.set()
        self._asked.put(False)
        self._over.set()
        self._thread.join(_CLOSING_S)
        for inspector in (self.inspector, self._before, self._ready, *self._spent):
            if inspector is not None:
                inspector.close()
        self.supervisor.close()

    def _serve(self) -> None:
        while self._asked.get():
            while not self._asked.empty() and not self._closing.is_set():
                self._asked.get()  # asked more than once before it began: what lies there now is loaded anyway
            if self._closing.is_set():
                return
            self._exchange()

    def _exchange(self) -> None:
        self._set(state="loading")
        self.supervisor.reloading()
        _log.info("the bundle is loaded anew")
        self._over.clear()
        if self._closing.is_set():
            return
        try:
            new = self._loaded()
        except Exception as error:  # whatever it is: the line goes on with what it has
            self._set(state="idle", refused=self._status.refused + 1, error=one_line(error))
            _log.error("the bundle is refused, %s stays in force: %s", self.bundle, one_line(error))
            self.supervisor.ready()
            return
        self._set(state="ready")
        self._ready = new
        self._over.wait()
        while self._spent:
            self._spent.pop().close()

    def _loaded(self) -> Inspector:
        new = self._load()
        try:
            if self._ending:
                raise ConfigError("the station stops")
            self._test(new)
        except BaseException:
            new.close()
            raise
        return new

    def _put_in_force(self, inspector: Inspector) -> None:
        self.inspector = inspector
        for follower in self.followers:
            try:
                follower(inspector)
            except Exception:  # whoever cannot follow costs no verdict, and no roll-back
                _log.exception("not everything follows bundle %s", self.bundle)

    def _end_trial(self, before: Inspector) -> None:
        self._finish(before)
        _log.info("bundle %s has passed its first frames", self.bundle)

    def _roll_back(self, before: Inspector, error: Exception) -> None:
        failed, reason = self.inspector, one_line(error)
        self._put_in_force(before)
        self._finish(failed, rolled_back=self._status.rolled_back + 1, error=reason)
        _log.error("bundle %s is in force again, since the new one failed: %s", self.bundle, reason)

    def _finish(self, spent: Inspector, **changes: object) -> None:
        """End the trial; the inspector that is no longer needed is closed in the other thread."""
        self._before = None
        self._set(state="idle", **changes)
        self._spent.append(spent)
        self._over.set()

    def _set(self, **changes: object) -> None:
        bundle, folder, calibration = _named(self.inspector)
        named = {"bundle": bundle, "folder": folder, "calibration": calibration, "changed_ns": time.time_ns()}
        with self._lock:
            self._status = replace(self._status, **{**named, **changes})  # type: ignore[arg-type]


def _named(inspector: Inspector) -> tuple[str, str, str]:
    bundle = inspector.bundle
    return bundle.manifest_sha256[:_ID_DIGITS], str(bundle.folder), inspector.calibration.created
