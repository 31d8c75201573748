import io
from typing import Any

from rich.console import Console

from ganspect.runtime.bench.console import doubts, print_notes


def content(others: float | None, **reference: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "environment": {"others_share": others},
        "bundle": {"folder": "bundle"},
        "backends": [{"backend": "openvino", "precision": "bf16", "guarded": False}],
        "left_out": [{"backend": "tensorrt", "precision": None, "reason": "TensorRT is not installed"}],
    }
    return {**found, **({"reference": {"run": "run", "agreement": [reference]}} if reference else {})}


def test_a_busy_machine_is_warned_of() -> None:
    (sentence,) = doubts(content(0.43))
    assert "took 43% of the processor" in sentence
    assert doubts(content(0.01)) == doubts(content(None)) == []


def test_what_was_not_verified_says_how_to_verify_it() -> None:
    (sentence,) = doubts(content(0.0, backend="openvino", precision="bf16", verified=False))
    assert "OpenVINO bf16" in sentence
    assert "ganspect verify BUNDLE --backend openvino --precision bf16" in sentence


def test_what_was_left_out_is_printed_with_the_reason() -> None:
    text = io.StringIO()
    print_notes(content(0.0), Console(file=text, width=200))
    assert text.getvalue() == "not measured: tensorrt: TensorRT is not installed\n"
