import argparse
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest


class HereAndNow:
    """A pool that runs its jobs in this process, one after the other."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "HereAndNow":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def job(tiny_bundle: Path, tiny_run: Path):
    from gpu_contenders import Job

    def make(contender: str, precision: str = "fp32", batch: int = 2) -> Job:
        return Job(contender, precision, batch, tiny_bundle, (tiny_run / "config.yaml", ()), "cpu", steps=2)

    return make


def test_without_cuda_it_ends_with_one_sentence_before_any_work(tmp_path: Path, monkeypatch, capsys):
    import gpu_speed

    monkeypatch.setattr(gpu_speed.torch.cuda, "is_available", lambda: False)
    assert gpu_speed.main(["--out", str(tmp_path / "out")]) == 2
    sentence = capsys.readouterr().err
    assert "sees no CUDA GPU here; run this where nvidia-smi shows one" in sentence
    assert sentence.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("contender", ["pytorch-eager", "onnxruntime-loop", "onnxruntime-steps"])
def test_a_contender_runs_the_search_and_is_timed(job, contender):
    from gpu_contenders import milliseconds_per_step, prepare

    notes = prepare(job(contender))
    assert milliseconds_per_step(0.0) > 0
    assert notes["peak_gpu_mb"] is None
    if contender == "onnxruntime-steps":
        assert notes["cuda_graph"] is False


def test_what_cannot_run_is_left_out_with_the_reason_and_the_rest_is_timed(job, monkeypatch):
    import gpu_speed

    monkeypatch.setattr(gpu_speed, "ProcessPoolExecutor", HereAndNow)
    jobs = [job("tensorrt-rtx"), job("onnxruntime-loop"), job("no such")]
    rows, left_out = gpu_speed.time_batch(jobs, rounds=3, seconds=0.0)
    (row,) = rows
    assert (row["contender"], row["precision"], row["batch"]) == ("onnxruntime-loop", "fp32", 2)
    assert len(row["rounds_ms"]) == 3
    assert sorted(row["rounds_ms"])[1] == row["ms_per_step"]
    assert [entry["reason"] for entry in left_out] == ["needs a GPU", "'no such'"]


def test_fp16_needs_graphs_in_the_bundle_except_for_pytorch(job, monkeypatch):
    import gpu_speed

    monkeypatch.setattr("ganspect.bundle.Bundle.has_variant", lambda self, *forms: False)
    assert gpu_speed.reason_against(job("onnxruntime-steps", "fp16")) == "the bundle has no fp16 graphs"
    assert gpu_speed.reason_against(job("pytorch-eager", "fp16")) is None


def test_ratios_are_to_eager_pytorch_and_shares_to_the_matrix_product_of_the_precision():
    from gpu_speed import add_ratios

    rows = [
        {"contender": "pytorch-eager", "precision": "fp16", "batch": 100, "ms_per_step": 2.0},
        {"contender": "onnxruntime-steps", "precision": "fp16", "batch": 100, "ms_per_step": 0.5},
        {"contender": "onnxruntime-steps", "precision": "fp32", "batch": 100, "ms_per_step": 1.0},
    ]
    add_ratios(rows, {"fp32": 100.0, "fp16": 400.0}, gflop=1.0)
    assert [row.get("times_pytorch_eager") for row in rows] == [1.0, 4.0, None]
    assert [row["share_of_matrix_rate"] for row in rows] == [0.125, 0.5, 1.0]  # 100 GFLOP in 2 ms: 50 TFLOP/s


def test_the_result_has_rows_ratios_rates_and_the_environment(
    tmp_path: Path, tiny_bundle, tiny_run, monkeypatch, capsys
):
    import gpu_speed

    monkeypatch.setattr(gpu_speed, "ProcessPoolExecutor", HereAndNow)
    monkeypatch.setattr(gpu_speed, "PRECISIONS", ("fp32",))
    monkeypatch.setitem(gpu_speed.MATRIX_SIZE, "cpu", 32)
    arguments = ["--device", "cpu", "--batch", "1,2", "--steps", "2", "--rounds", "1", "--seconds", "0"]
    arguments += ["--contenders", "pytorch-eager", "--recipe", str(tiny_run / "config.yaml")]
    assert gpu_speed.main([*arguments, "--bundle", str(tiny_bundle), "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "gpu_speed.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert [row["batch"] for row in result["rows"]] == [1, 2]
    assert result["ratios"] == {"pytorch-eager_fp32_batch_1": 1.0, "pytorch-eager_fp32_batch_2": 1.0}
    assert set(result["matrix_tflops"]) == {"fp32", "tf32", "fp16"}
    assert result["gflop_per_row_and_step"] > 0
    assert result["environment"]["device"] == "cpu"
    assert result["environment"]["torch"]


def test_the_networks_are_exported_with_random_weights_and_no_threshold(tmp_path: Path, tiny_run: Path):
    from gpu_speed import export

    from ganspect.bundle import open_bundle

    export((tiny_run / "config.yaml", ()), tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    assert {"search", "step"} <= set(bundle.manifest.graphs)
    assert bundle.calibration is None


def test_jobs_are_every_contender_in_every_precision():
    from gpu_contenders import CONTENDERS
    from gpu_speed import jobs_of

    given = argparse.Namespace(recipe=Path("r"), set=[], device="cuda", steps=20, contenders=tuple(CONTENDERS))
    jobs = jobs_of(given, Path("b"), 64)
    assert len({(job.contender, job.precision) for job in jobs}) == 2 * len(CONTENDERS)
