"""A frame that was just judged, as those see it who act on it or show it.

station.observers.append(lambda judged: print(judged.entry.camera, judged.verdict.verdict))
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ganspect.preprocess import Frame
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.verdict import Verdict

_log = logging.getLogger("ganspect.station")


@dataclass(frozen=True)
class Judged:
    """A frame with its verdict.

    Attributes:
        arrival: the frame as it came, with its signal and when it arrived.
        frame: the part of it that was inspected; (H,W) or (H,W,3) BGR.
        verdict: on it.
        entry: what goes into the history; it may not be there yet.
    """

    arrival: Arrival
    frame: Frame
    verdict: Verdict
    entry: Entry


def tell(observers: Sequence[Callable[[Judged], None]], judged: Judged) -> None:
    """Let each observer know; one that fails costs neither the others nor the line anything."""
    for observer in observers:
        try:
            observer(judged)
        except Exception:
            _log.exception("camera %s: something that looks at verdicts has failed", judged.entry.camera)
