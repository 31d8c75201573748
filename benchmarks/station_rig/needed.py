"""What a rig needs and may lack, checked where it is used.

broker = needed(plant.mqtt, "a broker")
"""

import time
from collections.abc import Callable
from typing import TypeVar

Thing = TypeVar("Thing")


def needed(found: Thing | None, what: str) -> Thing:
    """Return what is there.

    Raises:
        RuntimeError: it is not.
    """
    if found is None:
        raise RuntimeError(f"{what} is needed here, and there is none")
    return found


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Wait until a condition holds.

    Raises:
        RuntimeError: it did not in time.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise RuntimeError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)
