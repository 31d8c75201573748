import json
from pathlib import Path

import onnx
import pytest

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, VerificationError
from ganspect.export.variants import FORMS, check_forms, find_forms


def test_the_manifest_names_every_form(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    forms = bundle.manifest.graphs["search"].variants
    assert forms == {form: f"search.{form}.onnx" for form in FORMS}
    assert set(forms.values()) <= set(bundle.manifest.sha256)
    assert bundle.graph_path("search", "phases").name == "search.phases.onnx"
    assert bundle.graph_path("search", "int8", "phases").name == "search.phases.onnx"
    assert bundle.graph_path("search", "int8").name == "search.onnx"


def test_a_form_that_changes_nothing_is_not_written(tiny_bundle: Path) -> None:
    forms = open_bundle(tiny_bundle).manifest.graphs["encoder"].variants
    # An encoder has no transposed convolution and no loop.
    assert sorted(forms) == ["bf16", "fp16"]


def test_all_forms_read_the_one_weights_file(tiny_bundle: Path) -> None:
    for path in tiny_bundle.glob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        assert path.stat().st_size < 100_000
        places = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
        assert places <= {"weights.bin"}


def test_parity_figures_are_there_for_exact_forms(tiny_bundle: Path) -> None:
    parity = open_bundle(tiny_bundle).manifest.parity
    assert "phases: step graph, iteration 0: gradient_median" in parity
    assert "loop-weights: search graph, iteration 0: gradient_median" in parity


def test_a_form_without_a_hash_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((tiny_bundle / "manifest.json").read_text())
    manifest["graphs"]["search"]["variants"]["phases"] = "elsewhere.onnx"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"gives no hash for elsewhere\.onnx"):
        open_bundle(tmp_path)


def test_a_form_that_is_no_onnx_is_named(tmp_path: Path) -> None:
    model = onnx.helper.make_model(
        onnx.helper.make_graph([onnx.helper.make_node("Conv", ["a"], ["b"])], "broken", [], [])
    )
    onnx.save(model, tmp_path / "search.phases.onnx")
    with pytest.raises(VerificationError, match=r"search\.phases\.onnx is not valid ONNX"):
        check_forms(tmp_path)
    assert find_forms("search", tmp_path) == {"phases": "search.phases.onnx"}


def test_the_form_for_openvino_has_no_transposed_convolution_and_images_in_planes(tiny_bundle: Path) -> None:
    for graph in ("score", "step", "generator"):
        files = (tiny_bundle / f"{graph}.onnx", tiny_bundle / f"{graph}.phases.onnx")
        plain, form = (onnx.load(path, load_external_data=False).graph for path in files)
        assert "ConvTranspose" in {node.op_type for node in plain.node}
        assert "ConvTranspose" not in {node.op_type for node in form.node}
        assert any(node.name.endswith("_summed") for node in form.node)
        assert any(node.name.endswith("_planes") for node in form.node)


def test_gradients_of_means_are_numbers_and_those_of_activations_products(tiny_bundle: Path) -> None:
    step = onnx.load(tiny_bundle / "step.onnx", load_external_data=False).graph
    assert "Expand" not in {node.op_type for node in step.node}
    assert any(node.name.endswith("_slopes") for node in step.node)
