import numpy as np

from ganspect.datasets import fingerprint


def test_a_fingerprint_tells_pixels_shape_and_type_apart() -> None:
    frame = np.arange(24, dtype=np.uint8).reshape((4, 6))
    changed = frame.copy()
    changed[2, 2] += 1
    others = [changed, frame.reshape((6, 4)), frame.astype(np.uint16), frame[::-1]]
    assert len({fingerprint(other) for other in [frame, *others]}) == 5
    assert fingerprint(frame) == fingerprint(np.asfortranarray(frame))
    assert len(fingerprint(frame)) == 16
