from pathlib import Path

import pytest

from ganspect.errors import BundleError, DeviceError, MissingDependencyError
from ganspect.runtime.bench.contenders import WORKER
from ganspect.runtime.bench.process import MeasuringProcess


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes a module which processes can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text: str) -> str:
        (tmp_path / "measuring_module.py").write_text(text)
        return "measuring_module"

    return write


def test_an_error_of_the_worker_arrives_as_what_it_was(tmp_path: Path) -> None:
    with MeasuringProcess("onnxruntime fp32", WORKER) as process, pytest.raises(BundleError, match="is no bundle"):
        process.ask("open", bundle=str(tmp_path), backend="onnxruntime", precision="fp32", pool=str(tmp_path))


def test_what_a_process_prints_is_no_message(module) -> None:
    text = (
        "import sys\nfrom ganspect.runtime.bench.protocol import reserve_stdout, send\n"
        "replies = reserve_stdout()\nprint('noise')\n"
        "for line in sys.stdin:\n    send(replies, {'ok': {'heard': line.strip()}})\n"
    )
    with MeasuringProcess("x", module(text)) as process:
        assert process.ask("listen") == {"heard": '{"do": "listen"}'}
        assert process.processor_ns() > 0


def test_a_process_that_ends_says_its_last_words(module) -> None:
    ends = "import sys\nsys.stdin.readline()\nsys.exit('out of luck')\n"
    with (
        MeasuringProcess("openvino bf16", module(ends)) as process,
        pytest.raises(DeviceError, match="openvino bf16 ended with status 1 when asked to measure: out of luck"),
    ):
        process.ask("measure")


def test_a_package_that_is_missing_is_named(module) -> None:
    with (
        MeasuringProcess("pytorch-eager", module("import no_such_package\n")) as process,
        pytest.raises(MissingDependencyError, match="pytorch-eager needs no_such_package, which is not installed"),
    ):
        process.ask("open")
