"""What the page says of losses: of pictures and of frames."""

from dataclasses import replace

import pytest

from tests.runtime.page.served import wait_for


@pytest.fixture
def running(serve):
    with serve("sinks: [{kind: pictures, verdicts: [normal, anomalous, undecided]}]") as served:
        wait_for(lambda: served.station.recorder.kept > 6, "verdicts come")
        yield served


def test_pictures_that_were_dropped_are_said_where_verdicts_go(running, monkeypatch):
    pictures = running.station.sinks.pictures[0]
    wait_for(lambda: pictures.saved > 2, "pictures are kept")
    running.station.pause(True)
    wait_for(lambda: not pictures.waiting, "none waits")
    monkeypatch.setattr(pictures, "dropped", 1234)
    monkeypatch.setattr(pictures, "_why", "the disk cannot keep up")
    wait_for(lambda: running.json("/api/state")["sinks"][0]["error"], "it is said")
    (sink,) = running.json("/api/state")["sinks"]
    assert (sink["name"], sink["error"]) == ("pictures", "1,234 dropped, the disk cannot keep up")
    assert sink["delivered"] > 2
    figures = running.ask("GET", "/metrics")[2].decode()
    assert 'ganspect_pictures_dropped_total{sink="pictures"} 1234.0' in figures
    assert 'ganspect_pictures_saved_total{sink="pictures"} ' in figures


def test_how_many_of_the_frames_that_came_were_dropped(running, monkeypatch):
    status = running.station.cameras.feeds["left"].status()
    shown = {"left": replace(status, frames=200, dropped=80), "right": replace(status, frames=0, dropped=3)}
    for name, one in shown.items():
        monkeypatch.setattr(running.station.cameras.feeds[name], "status", lambda one=one: one)
    wait_for(lambda: running.json("/api/state")["cameras"][0]["dropped"] == 80, "it is said")
    left, right = running.json("/api/state")["cameras"]
    assert (left["policy"], left["dropped"], left["dropped_share"]) == ("every", 80, 0.4)
    assert right["dropped_share"] == 1.0, "its driver has dropped them: none came"
