"""What the page says of losses: of pictures and of frames."""

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
