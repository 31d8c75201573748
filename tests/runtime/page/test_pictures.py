"""Pictures of flagged parts in memory: one that is about to be drawn is waited for."""

import threading
import time
from types import SimpleNamespace

import pytest

from ganspect.errors import OutputError
from ganspect.runtime.page.pictures import LivePictures


def flagged(uid):
    return SimpleNamespace(
        entry=SimpleNamespace(uid=uid, camera="left"), verdict=SimpleNamespace(verdict="anomalous", anomalous=True)
    )


@pytest.fixture
def drawing(monkeypatch):
    """Pictures that are drawn once the event is set, and fail for `bad`."""
    go = threading.Event()

    def drawn(self, judged, view):
        assert go.wait(10)
        if judged.entry.uid == "bad":
            raise OutputError("a picture cannot be encoded as JPEG")
        return judged.entry.uid.encode()

    monkeypatch.setattr(LivePictures, "_jpeg", drawn)
    pictures = LivePictures(lambda: None)
    yield pictures, go
    go.set()
    pictures.close()


def test_a_picture_that_is_on_its_way_is_waited_for(drawing):
    pictures, go = drawing
    for uid in ("first", "bad", "second"):
        pictures.judged(flagged(uid))
    threading.Timer(0.2, go.set).start()
    assert pictures.flagged("second") == b"second"
    assert pictures.flagged("bad") is None
    assert pictures.dropped == 1


def test_what_is_not_on_its_way_is_not_waited_for(drawing):
    pictures, _ = drawing
    for number in range(20):
        pictures.judged(flagged(str(number)))
    assert pictures.dropped >= 11
    begin_s = time.monotonic()
    assert pictures.flagged("19") is pictures.flagged("never seen") is None
    assert time.monotonic() - begin_s < 0.5


def test_a_picture_that_does_not_come_is_not_waited_for_long(drawing, monkeypatch):
    pictures, _ = drawing
    monkeypatch.setattr("ganspect.runtime.page.pictures._DRAWN_WITHIN_S", 0.05)
    pictures.judged(flagged("slow"))
    assert pictures.flagged("slow") is None
