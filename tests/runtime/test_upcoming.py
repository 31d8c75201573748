"""Another backend opens in the background, and takes over between two frames."""

import threading

import pytest

from ganspect.errors import ConfigError, DeviceError
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.upcoming import Upcoming

pytest.importorskip("openvino", reason="OpenVINO is not installed")


def test_the_other_backend_takes_over_when_it_is_ready(tiny_bundle, normal_frames):
    with Inspector.load(
        tiny_bundle, backend="openvino", meanwhile="onnxruntime", tuning=Tuning(threads=1)
    ) as inspector:
        assert inspector.backend.name == "onnxruntime"
        first = inspector.inspect(normal_frames[0])
        assert inspector.upcoming is not None
        inspector.upcoming.wait()
        again = inspector.inspect(normal_frames[0])
        assert inspector.backend.name == "openvino"
        assert inspector.upcoming is None
    assert again.verdict == first.verdict


def test_until_then_the_first_one_goes_on():
    ready = threading.Event()
    upcoming = Upcoming(lambda: ready.wait() and None, "tensorrt")
    assert upcoming.take() is None
    ready.set()
    upcoming.wait()
    assert upcoming.take() is None


def test_a_failure_is_said_and_the_first_one_goes_on(capsys):
    def fail():
        raise DeviceError("there is no GPU")

    upcoming = Upcoming(fail, "tensorrt")
    upcoming.wait()
    assert upcoming.take() is None
    assert upcoming.take() is None
    assert capsys.readouterr().out.count("tensorrt cannot be opened, what runs now goes on: there is no GPU") == 1


def test_one_that_nobody_took_is_closed(tiny_bundle):
    inspector = Inspector.load(tiny_bundle, backend="openvino", meanwhile="onnxruntime", tuning=Tuning(threads=1))
    upcoming = inspector.upcoming
    inspector.close()
    assert upcoming is not None
    assert upcoming.take() is None


def test_an_unknown_backend_is_said_at_once(tiny_bundle):
    with pytest.raises(ConfigError, match="unknown backend 'nope'"):
        Inspector.load(tiny_bundle, backend="nope", meanwhile="onnxruntime")
