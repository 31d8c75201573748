import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganspect.bundle import CALIBRATION
from ganspect.errors import CalibrationError, ConfigError, DataError, GanspectError, OutputError, RunError
from ganspect.runtime.bench import BenchOptions, bench_bundle
from ganspect.runtime.bench.closing_sections import CLOSING_SECTIONS
from ganspect.runtime.bench.sections import SECTIONS
from tests.runtime.bench.conftest import Benchmark

KEYS = {
    *("backend", "precision", "mode", "batch", "steps", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "std_ms"),
    *("min_ms", "max_ms", "images_per_s", "ms_per_step", "iterations", "repetitions", "peak_rss_mb", "gpu_memory_mb"),
    *("energy_mj", "others_share", "first_run_ms", "load_ms"),
}
AT_EVERY_BATCH = {"encoder", "search_step", "search", "search_exit", "search_exit_anomalous"}
QUICK = BenchOptions(backends=("onnxruntime",), batches="1", seconds=0.01)


def row(benchmark: Benchmark, mode: str, batch: int, part: str = "rows") -> dict[str, Any]:
    rows = benchmark.content["reference"]["rows"] if part == "reference" else benchmark.content["rows"]
    return next(row for row in rows if (row["mode"], row["batch"]) == (mode, batch))


def test_the_file_holds_what_was_returned(benchmark: Benchmark) -> None:
    assert json.loads((benchmark.folder / "bench.json").read_text()) == benchmark.content


def test_every_row_has_every_key(benchmark: Benchmark) -> None:
    for entry in [*benchmark.content["rows"], *benchmark.content["reference"]["rows"]]:
        assert set(entry) == KEYS


def test_every_mode_is_measured_and_frames_at_batch_1_only(benchmark: Benchmark) -> None:
    modes = {batch: {row["mode"] for row in benchmark.content["rows"] if row["batch"] == batch} for batch in (1, 2)}
    assert modes == {1: AT_EVERY_BATCH | {"frame", "frame_anomalous"}, 2: AT_EVERY_BATCH}


def test_all_rounds_are_pooled(benchmark: Benchmark) -> None:
    assert all(entry["repetitions"] >= benchmark.content["settings"]["rounds"] for entry in benchmark.content["rows"])


def test_the_early_exit_takes_between_one_and_k_iterations(benchmark: Benchmark) -> None:
    steps = benchmark.content["settings"]["steps"]
    assert 1 <= row(benchmark, "search_exit", 1)["iterations"] <= row(benchmark, "search", 1)["iterations"] == steps


def test_peak_memory_is_of_the_measuring_process_and_never_falls(benchmark: Benchmark) -> None:
    peaks = [entry["peak_rss_mb"] for entry in benchmark.content["rows"]]
    assert peaks == sorted(peaks)
    assert 20 < peaks[0] < 1000


def test_the_search_is_measured_over_steps_too(benchmark: Benchmark) -> None:
    steps = {entry["steps"] for entry in benchmark.content["over_steps"] if entry["batch"] == 1}
    assert {1, benchmark.content["settings"]["steps"]} < steps


def test_ratios_are_pytorchs_median_over_ours(benchmark: Benchmark) -> None:
    for batch in (1, 2):
        theirs, ours = row(benchmark, "encoder", batch, "reference"), row(benchmark, "encoder", batch)
        expected = theirs["p50_ms"] / ours["p50_ms"]
        assert benchmark.content["ratios"][f"encoder_batch_{batch}"] == pytest.approx(expected, rel=1e-3)


def test_best_scores_are_pytorchs(benchmark: Benchmark) -> None:
    (found,) = benchmark.content["reference"]["agreement"]
    assert found["tiles"] == 12
    assert found["largest_difference"] < 0.01
    assert found["flips"] == 0


def test_the_floor_is_work_over_rate(benchmark: Benchmark) -> None:
    floor = benchmark.content["share_of_floor"]
    entry = next(entry for entry in floor["table"] if entry["backend"] == "onnxruntime" and entry["batch"] == 2)
    expected_ms = 2e3 * floor["gflop"] / floor["gflop_per_s"]["fp32"]
    assert entry["floor_fp32_ms"] == pytest.approx(expected_ms, rel=1e-3)


def test_pytorch_compiled_without_a_compiler_is_left_out_with_the_reason(benchmark: Benchmark) -> None:
    (left_out,) = benchmark.content["left_out"]
    assert left_out["backend"] == "pytorch-compiled"
    assert "no-such-compiler" in left_out["reason"]
    assert "no-such-compiler" in benchmark.page


def test_the_environment_says_what_explains_figures(benchmark: Benchmark) -> None:
    environment = benchmark.content["environment"]
    assert environment["cores"] >= 1
    assert environment["packages"]["onnxruntime"]
    assert environment["files_mb"]["weights.bin"] > 0
    assert environment["before"]["load_average"] is not None


def test_the_page_needs_no_network(benchmark: Benchmark) -> None:
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', benchmark.page) == []
    assert "url(" not in benchmark.page


def test_the_page_has_every_section(benchmark: Benchmark) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", benchmark.page)
    assert len(titles) == len(SECTIONS) + len(CLOSING_SECTIONS)
    assert "AUROC over latency" in titles


def test_random_images_never_exit_and_a_bundle_without_encoder_has_no_encoder_rows(
    tiny_anogan_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bench_bundle(tiny_anogan_bundle, tmp_path / "bench", QUICK)
    modes = {entry["mode"]: entry for entry in content["rows"]}
    assert set(modes) == {"search_step", "search", "search_exit", "frame"}
    assert modes["search_exit"]["iterations"] == content["settings"]["steps"]
    assert "random" in content["settings"]["images"]
    assert "ratios" not in content
    printed = capsys.readouterr().out
    assert "search_step, 1" in printed
    assert "onnxruntime fp32" in printed


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (BenchOptions(batches="0,1"), ConfigError, "batch '0,1' was asked for; give whole numbers from 1"),
        (BenchOptions(batches="1,x"), ConfigError, "batch '1,x'"),
        (BenchOptions(batches="5000"), ConfigError, "at most 4096"),
        (BenchOptions(backends=("onnx",)), ConfigError, "unknown backend 'onnx'"),
        (BenchOptions(precisions=("fp31",)), ConfigError, "unknown precision 'fp31'"),
        (BenchOptions(seconds=0), ConfigError, "0 seconds"),
        (BenchOptions(seconds=float("nan")), ConfigError, "nan seconds"),
        (BenchOptions(data="nowhere"), DataError, "nowhere"),
        (BenchOptions(metrics=Path("nowhere.json")), DataError, "nowhere.json is no metrics.json"),
        (BenchOptions(backends=("onnxruntime",), precisions=("bf16",)), ConfigError, "does not run bf16"),
        (BenchOptions(against=Path("nowhere")), RunError, "nowhere is no run"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    tiny_bundle: Path, tmp_path: Path, options: BenchOptions, error: type[GanspectError], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        bench_bundle(tiny_bundle, tmp_path / "bench", options)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_system_is_refused(tiny_bundle: Path, tiny_anogan_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has system anogan, .* has fanogan; give the run that the bundle was exported"):
        bench_bundle(tiny_bundle, tmp_path / "bench", BenchOptions(against=tiny_anogan_run))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_was_never_calibrated_is_refused(
    tiny_bundle: Path, tmp_path: Path, copy: Callable[[Path], Path]
) -> None:
    copied = copy(tiny_bundle)
    (copied / CALIBRATION).unlink()
    with pytest.raises(CalibrationError, match="has no threshold yet"):
        bench_bundle(copied, tmp_path / "bench", QUICK)


def test_a_folder_with_other_files_is_not_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_bundle / "manifest.json", tmp_path)
    with pytest.raises(OutputError, match=r"holds other files and no bench\.json"):
        bench_bundle(tiny_bundle, tmp_path, QUICK)


def test_metrics_without_a_curve_say_how_to_make_one(tiny_bundle: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"curve": null}')
    with pytest.raises(DataError, match="--curve"):
        bench_bundle(tiny_bundle, tmp_path / "bench", BenchOptions(metrics=metrics))
