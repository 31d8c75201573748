"""A stream that freezes gives frames without an error, but always the same one.

repeats = Repeats()
if repeats.seconds(frame) > 30: ...
"""

import time
import zlib

import numpy as np

from ganspect.preprocess import Frame


class Repeats:
    """How long a camera has given one and the same frame.

    Attributes:
        count: repetitions so far of the frame that came last.
    """

    def __init__(self) -> None:
        """Begin before the first frame."""
        self.count = 0
        self._sum = -1
        self._since_s = 0.0

    def seconds(self, frame: Frame) -> float:
        """Take in a frame, and return for how long it has been the same."""
        found, now_s = zlib.crc32(np.ascontiguousarray(frame).data), time.monotonic()
        if found != self._sum:
            self._sum, self._since_s, self.count = found, now_s, 0
            return 0.0
        self.count += 1
        return now_s - self._since_s
