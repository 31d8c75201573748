import io
from importlib import metadata

from rich.console import Console

from ganspect.runtime import doctor
from ganspect.runtime.backends import BACKENDS


def test_every_backend_and_opencv_have_a_line():
    found = {finding.name: finding for finding in doctor.findings()}
    assert set(found) == {*BACKENDS, "OpenCV"}
    assert found["onnxruntime"].state == "ready"
    assert found["onnxruntime"].version == metadata.version("onnxruntime")
    assert "cores" in found["onnxruntime"].details


def test_what_is_missing_gets_its_command(monkeypatch):
    real = doctor.importlib.util.find_spec
    monkeypatch.setattr(
        doctor.importlib.util, "find_spec", lambda name: None if name in ("openvino", "tensorrt") else real(name)
    )
    found = {finding.name: finding for finding in doctor.findings()}
    assert (found["openvino"].state, found["tensorrt"].state) == ("missing", "missing")
    assert "pip install 'ganspect[openvino]'" in found["openvino"].details
    assert "JetPack" in found["tensorrt"].details


def test_a_backend_that_does_not_load_is_broken(monkeypatch):
    def fail() -> tuple[str, str]:
        raise RuntimeError("libsomething.so: cannot open shared object file")

    monkeypatch.setitem(doctor._DEVICES, "onnxruntime", fail)
    finding = next(finding for finding in doctor.findings() if finding.name == "onnxruntime")
    assert finding.state == "broken"
    assert "libsomething.so" in finding.details
    assert "install it again" in finding.details


def test_packages_that_overwrite_each_other_are_named(monkeypatch):
    class Distribution:
        def __init__(self, name: str) -> None:
            self.metadata = {"Name": name}

    names = ("onnxruntime", "onnxruntime-gpu", "numpy")
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: [Distribution(name) for name in names])
    (sentence,) = doctor.conflicts()
    assert sentence.startswith("onnxruntime and onnxruntime-gpu are both installed and overwrite each other")


def test_extras_are_printed_with_their_brackets():
    console = Console(width=200, record=True, file=io.StringIO())
    doctor.show_doctor(console)
    printed = console.export_text()
    assert "onnxruntime-cuda" in printed
    assert "'ganspect'" not in printed
