import json

import numpy as np
import onnx
import pytest

from ganspect.bundle import open_bundle
from ganspect.progress import progress_bar
from ganspect.runtime.evaluation.labelled import open_test_data, read_labelled


@pytest.fixture(scope="module")
def labelled(tiny_bundle, mvtec_folder):
    bundle = open_bundle(tiny_bundle)
    with progress_bar() as progress:
        return bundle, read_labelled(bundle, open_test_data(bundle, str(mvtec_folder), None), progress)


def test_cells_are_judged_as_deployed_and_verdicts_compared(labelled):
    from speed import inspect

    bundle, images = labelled
    found = inspect(bundle, images, np.arange(len(images.labels)))
    assert found["cells"]["normal"] == found["cells"]["anomalous"] == 6
    assert found["cells"]["flagged"] + found["cells"]["cleared"] == 12
    assert found["verdicts_that_differ_from_the_full_search"] == 0
    assert found["backend"] == {"name": "onnxruntime", "precision": "fp32"}
    assert 1 <= found["iterations"]["normal"] <= found["steps_at_most"] == 5
    assert all(found["ms"][name] is None or found["ms"][name] > 0 for name in found["ms"])


def test_auroc_is_taken_at_each_stop_on_the_same_cells(labelled, monkeypatch):
    import speed

    bundle, images = labelled
    for name, value in {"ENCODER_STOPS": (1, 2), "RANDOM_STOPS": (2, 4), "CURVE_CELLS": 8}.items():
        monkeypatch.setattr(speed, name, value)
    curve = speed.iterations_curve(bundle, images)
    assert curve["cells"] == 8
    assert list(curve["encoder"]) == ["1", "2"]
    assert list(curve["random"]) == ["2", "4"]
    assert all(0 <= value <= 1 for start in ("encoder", "random") for value in curve[start].values())


def test_ratios_are_pytorchs_search_over_a_cell():
    from speed import _inspection_ratios

    found = _inspection_ratios({"ms": {"normal": 10.0, "anomalous": 100.0}}, pytorch_ms=5000.0)
    assert found == {"full_inspection": 458.7, "normal_cell": 500.0, "anomalous_cell": 50.0}


def test_a_run_that_is_none_ends_with_one_sentence(tmp_path, capsys):
    from speed import main

    assert main(["--run", str(tmp_path / "none"), "--bundle", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("speed: ")
    assert not (tmp_path / "speed.json").exists()


def test_the_page_is_what_the_committed_result_says():
    from speed_page import PAGE, RESULT, page

    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULT.read_text(encoding="utf-8"))), (
        "docs/performance.md differs; run: python benchmarks/speed.py --page"
    )


def test_the_committed_result_has_the_ratios_that_it_is_asked_for():
    from speed_page import RESULT, TARGETS

    ratios = json.loads(RESULT.read_text(encoding="utf-8"))["ratios"]
    assert set(TARGETS) <= set(ratios)
    assert all(ratios[key] > 0 for key in TARGETS)


def test_an_iterations_time_is_told_apart_by_kind_without_what_is_computed_once(tiny_bundle, monkeypatch):
    import speed_profile

    monkeypatch.setattr(speed_profile, "BATCHES", (2,))
    found = speed_profile.profile(open_bundle(tiny_bundle))
    assert [(entry["backend"], entry["precision"]) for entry in found][:2] == [
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
    ]
    runtimes = {entry["backend"] + entry["precision"]: entry for entry in found}
    for entry in found:
        assert set(entry["ms"]) == set(entry["nodes"]) == set(speed_profile.KINDS)
        assert all(count > 0 for count in entry["nodes"].values())
        assert all(ms > 0 for ms in entry["ms"].values())
    step = onnx.load(tiny_bundle / "step.onnx", load_external_data=False).graph.node
    convolutions = [node.name for node in step if node.op_type in ("Conv", "ConvTranspose")]
    of_the_image = [name for name in convolutions if name.startswith("prepare_")]
    assert of_the_image
    assert runtimes["onnxruntimefp32"]["nodes"]["convolutions"] == len(convolutions) - len(of_the_image)
