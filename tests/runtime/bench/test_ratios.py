from typing import Any

import pytest

from ganspect.runtime.bench.ratios import agreement, ratios_of, share_of_floor

FLOOR = {"gflop": 0.5, "gflop_per_s": {"fp32": 100.0, "bf16": 400.0}}


def row(backend: str, precision: str, p50_ms: float, *, mode: str = "search_step", batch: int = 1) -> dict[str, Any]:
    return {"backend": backend, "precision": precision, "mode": mode, "batch": batch, "steps": 20, "p50_ms": p50_ms}


ROWS = [row("onnxruntime", "fp32", 10.0), row("openvino", "bf16", 4.0), row("openvino", "int8", 2.0)]
REFERENCE = [row("pytorch-eager", "fp32", 40.0), row("pytorch-compiled", "fp32", 30.0)]
VERIFIED = {("onnxruntime", "fp32"): True, ("openvino", "bf16"): True, ("openvino", "int8"): False}


def test_the_first_figure_is_of_the_fastest_row_that_agrees() -> None:
    ratios = ratios_of(ROWS, REFERENCE, VERIFIED)
    assert ratios["search_step_batch_1"] == pytest.approx(10.0)
    assert ratios["fastest"] == {"search_step_batch_1": "openvino bf16"}


def test_the_table_has_every_row_beside_both() -> None:
    table = ratios_of(ROWS, REFERENCE, VERIFIED)["table"]
    assert [(entry["eager"], entry["compiled"]) for entry in table] == [(4.0, 3.0), (10.0, 7.5), (20.0, 15.0)]


def test_other_work_is_not_compared() -> None:
    ratios = ratios_of([row("openvino", "bf16", 4.0, batch=16)], REFERENCE, VERIFIED)
    assert ratios == {"fastest": {}, "table": []}


def test_without_pytorch_compiled_its_column_is_empty() -> None:
    (entry,) = ratios_of(ROWS[:1], REFERENCE[:1], VERIFIED)["table"]
    assert entry["compiled"] is None


def test_the_share_of_the_floor_grows_with_speed() -> None:
    found = share_of_floor(ROWS, FLOOR, {"search_step_batch_1": "openvino bf16"})
    assert found["search_step_batch_1"] == pytest.approx(5.0 / 4.0)
    assert [entry["of_fp32"] for entry in found["table"]] == [0.5, 1.25, 2.5]
    assert [entry["of_bf16"] for entry in found["table"]] == [0.125, 0.3125, 0.625]


def test_a_rate_that_is_unknown_has_no_floor() -> None:
    floor = {"gflop": 0.5, "gflop_per_s": {"fp32": 100.0, "bf16": None}}
    assert share_of_floor(ROWS[:1], floor, {})["table"][0]["of_bf16"] is None


def agree(ours: list[float], theirs: list[float], precision: str = "fp32", *, guarded: bool = False) -> dict[str, Any]:
    return agreement(ours, theirs, 1.0, precision=precision, guarded=guarded)


def test_agreement_counts_verdicts_that_flip() -> None:
    found = agree([0.99, 1.01, 2.0], [1.01, 0.99, 2.0])
    assert found["flips"] == 2
    assert not found["verified"]
    assert found["largest_difference"] == pytest.approx(0.0202, rel=1e-2)
    assert found["mean_difference"] == pytest.approx(0.0133, rel=1e-2)


def test_float32_must_agree_by_itself() -> None:
    assert agree([0.5, 2.0], [0.501, 2.002])["verified"]
    assert not agree([0.5, 2.0], [0.53, 2.1])["verified"]


def test_a_lower_precision_must_have_been_verified() -> None:
    assert not agree([0.5, 2.0], [0.5, 2.0], "bf16")["verified"]
    assert agree([0.53, 2.1], [0.5, 2.0], "bf16", guarded=True)["verified"]


def test_another_runs_scores_are_not_excused_by_verification() -> None:
    assert not agree([0.5, 2.0], [0.9, 3.0], "bf16", guarded=True)["verified"]


def test_no_number_never_agrees() -> None:
    found = agree([float("nan")], [1.0])
    assert found["largest_difference"] is None
    assert not found["verified"]
