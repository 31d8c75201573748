"""SIGINT and SIGTERM noticed between two steps, so that the checkpoint written then is a whole one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def said_to_go_on() -> Iterator[None]:
    """Say what to do where SIGINT or SIGTERM ends what is made before a run's steps."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "interrupted; run the same command again and it goes on from what the run folder holds", soft_wrap=True
        )
        raise


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold back the first SIGINT or SIGTERM; a second one acts at once, as before.

    Yields:
        A function that tells whether one has come. Outside the main thread signals are left alone.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def notice(number: int, frame: FrameType | None) -> None:
        came.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, notice)
    try:
        yield came.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
