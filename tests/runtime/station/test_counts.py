from dataclasses import replace

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


def test_a_search_that_often_runs_out_of_time_is_told():
    judged = entry(1)
    late = replace(judged, verdict="undecided")
    counts = Counts((judged.camera,))
    for _ in range(80):
        counts.judged(judged)
    for _ in range(19):
        counts.judged(late)
    assert counts.hurried() == {}, "too few yet"
    counts.judged(late)
    assert counts.hurried() == {judged.camera: 0.2}
    counts.judged(judged)
    assert counts.hurried() == {judged.camera: 0.2}, "a normal one went"
    for _ in range(80):
        counts.judged(judged)
    assert counts.hurried() == {}
