from ganspect.runtime.station.counts import Counts
from tests.runtime.history.entries import entry


def test_a_camera_fails_while_none_of_its_last_frames_can_be_judged():
    judged = entry(1)
    counts = Counts((judged.camera, "other"))
    for _ in range(2):
        counts.unusable(judged.camera, "4 channels")
    assert counts.failing() == {}
    counts.unusable(judged.camera, "2 channels")
    assert counts.failing() == {judged.camera: (3, "2 channels")}
    counts.judged(judged)
    assert counts.failing() == {}
    assert counts.of(judged.camera).unusable == 3
