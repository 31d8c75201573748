"""What is fuzzed, and what one input of it came to: refused, accepted, or a finding.

outcome = attempt(target, value, folder)
"""

import contextlib
import gc
import io
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeAlias

from hypothesis.strategies import SearchStrategy

from ganspect.errors import GanspectError

Kind: TypeAlias = Literal["refused", "accepted", "finding"]

SECRET = "S3cretPassw0rd"
"""Stands in inputs where credentials stand; no message may hold it."""

INSIDE = "inside"
"""Folder of the sandbox that a target works in; nothing beside it may change."""

LONGEST_MESSAGE = 2_000
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+|\S*/\S*")


class FaultError(Exception):
    """An input was accepted, or answered, as it must not be."""


@dataclass(frozen=True)
class Target:
    """One thing that reads what comes from outside.

    Attributes:
        name: of it.
        strategy: of inputs; each is bytes, a text, or a tuple of such.
        run: reads one; raises a GanspectError where it refuses it.
        limit_s: time that one input may take.
        examples: inputs that a short run in the tests tries.
    """

    name: str
    strategy: SearchStrategy[Any]
    run: Callable[[Any], object]
    limit_s: float = 10.0
    examples: int = 40


@dataclass(frozen=True)
class Outcome:
    """What an input came to.

    Attributes:
        kind: what it was.
        message: of the error; empty where it was accepted.
        place: of a finding, where in the code: findings at one place are one.
    """

    kind: Kind
    message: str = ""
    place: str = ""

    @property
    def plain(self) -> str:
        """Return the message without names and numbers, so that equal ones can be counted as one."""
        return _VARYING.sub("…", self.message)[:160]


def attempt(target: Target, value: Any, sandbox: Path) -> Outcome:
    """Give one input to a target; main thread only, for a signal ends what hangs.

    Args:
        target: reads it.
        value: of the target's strategy.
        sandbox: folder around the one that the target works in; nothing in it may change.
    """
    before = _seen(sandbox)
    printed = io.StringIO()
    try:
        with _at_most(target.limit_s), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            target.run(value)
        outcome = Outcome("accepted")
    except GanspectError as error:
        outcome = _refused(error)
    except Exception as error:
        outcome = Outcome("finding", f"{type(error).__name__}: {str(error)[:300]}", _place(error))
    if SECRET in printed.getvalue():
        return Outcome("finding", "a secret was printed", "printed")
    if _seen(sandbox) != before:
        return Outcome("finding", "something beside the target's folder changed", "sandbox")
    return outcome


def _refused(error: GanspectError) -> Outcome:
    message = str(error)
    faults = {
        "the message holds a secret": SECRET in message,
        "the message is empty": not message.strip(),
        "the message is not one line of what can be shown": not message.isprintable(),
        f"the message is longer than {LONGEST_MESSAGE} signs": len(message) > LONGEST_MESSAGE,
    }
    for fault, found in faults.items():
        if found:
            return Outcome("finding", f"{fault}: {message[:300]!a}", f"{fault} {_place(error)}")
    return Outcome("refused", message)


def _place(error: BaseException) -> str:
    """Return the innermost line of ganspect's that an error passed, and its type."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/site-packages/" not in frame.filename and "/lib/python" not in frame.filename]
    last = (own or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} ({last.name})"


def _seen(sandbox: Path) -> list[tuple[str, int, int]]:
    entries = ((path.name, path.lstat()) for path in sorted(sandbox.iterdir()) if path.name != INSIDE)
    return [(name, status.st_size, status.st_mtime_ns) for name, status in entries]


@contextlib.contextmanager
def _at_most(limit_s: float) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        gc.collect()
        raise FaultError(f"it takes longer than {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
