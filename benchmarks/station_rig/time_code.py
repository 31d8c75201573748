"""Reads from a picture when it was taken: a strip of blocks on top, as `timed_rtsp_server.py` writes it.

40 blocks of 16x16 pixels, black or white, are the bits of the monotonic clock in units of 0.1 ms, the highest first; a
second row has them inverted, so that a torn or blurred strip is known as such. One clock serves all processes of a
machine, so the difference to now is the picture's age, encoding and transport included.

taken_ns = read_time_code(frame)
"""

import numpy as np

from ganspect.preprocess import Frame

BITS, BLOCK, UNIT_NS = 40, 16, 100_000
STRIP_HEIGHT = 2 * BLOCK


def read_time_code(frame: Frame) -> int | None:
    """Return when a frame was taken, in ns of `time.monotonic_ns()`, or None where the strip cannot be read.

    Args:
        frame: (H,W,3) uint8, at least 640 wide.
    """
    rows = frame[:STRIP_HEIGHT, : BITS * BLOCK, 1].reshape(2, BLOCK, BITS, BLOCK)
    # The middle of each block: JPEG blurs its edges.
    bits = rows[:, 4:12, :, 4:12].mean(axis=(1, 3)) > 127
    if not np.array_equal(bits[0], ~bits[1]):
        return None
    return int("".join("1" if bit else "0" for bit in bits[0]), 2) * UNIT_NS
