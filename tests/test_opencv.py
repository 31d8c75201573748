from types import SimpleNamespace

import numpy as np
import pytest

from ganspect import opencv
from ganspect.opencv import cv2, silenced


class _Log:
    level = 3

    def getLogLevel(self) -> int:  # noqa: N802
        return self.level

    def setLogLevel(self, level: int) -> None:  # noqa: N802
        self.level = level


def _version_4(log: _Log) -> SimpleNamespace:
    return SimpleNamespace(utils=SimpleNamespace(), getLogLevel=log.getLogLevel, setLogLevel=log.setLogLevel)


def _version_5(log: _Log) -> SimpleNamespace:
    return SimpleNamespace(utils=SimpleNamespace(logging=log))


@pytest.mark.parametrize("version", [_version_4, _version_5])
def test_the_log_is_quiet_inside_and_as_before_afterwards(monkeypatch, version):
    log = _Log()
    monkeypatch.setattr(opencv, "cv2", version(log))
    with silenced():
        assert log.level == 0
    assert log.level == 3


def _fail_silenced() -> None:
    with silenced():
        raise ValueError("broken")


def test_the_log_is_as_before_after_an_error(monkeypatch):
    log = _Log()
    monkeypatch.setattr(opencv, "cv2", _version_5(log))
    with pytest.raises(ValueError, match="broken"):
        _fail_silenced()
    assert log.level == 3


def test_a_corrupt_picture_prints_nothing(capfd):
    whole = cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1]
    with silenced():
        assert cv2.imdecode(whole[:40], cv2.IMREAD_UNCHANGED) is None
    assert capfd.readouterr() == ("", "")


def test_opencv_is_silent_for_as_long_as_any_thread_asks_for_it():
    log = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    first, second = silenced(), silenced()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert log.getLogLevel() == 0
    second.__exit__(None, None, None)
    assert log.getLogLevel() == level
