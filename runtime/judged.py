"""A frame that was just judged, as those see it who act on it or show it.

station.observers.append(lambda judged: print(judged.entry.camera, judged.verdict.verdict))
"""

from dataclasses import dataclass

from ganspect.preprocess import Frame
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.verdict import Verdict


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
