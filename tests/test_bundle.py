import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ganspect.bundle import CALIBRATION, MANIFEST, Bundle, append_calibration, open_bundle
from ganspect.errors import BundleError, CalibrationError
from ganspect.records import SCHEMA_VERSION, CalibrationRecord, Health, Threshold


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a bundle whose graphs are no graphs: `open_bundle` checks files, not what they compute."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name in ("score.onnx", "search.onnx", "weights.bin"):
        (bundle / name).write_bytes(name.encode())
    save_file({"latent": np.ones((2, 8), np.float32)}, bundle / "starts.safetensors")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "ganspect_version": "0.1.0",
        "system": "fanogan",
        "image": {
            "size_hw": [32, 32],
            "channels": 1,
            "colour_order": "grey",
            "bits": 8,
            "fit": "resize",
            "overlap": 0.25,
        },
        "latent": {"size": 8},
        "search": {
            "steps": 20,
            "burn_in": 0,
            "restarts": 1,
            "learning_rate": 0.05,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "clip": None,
            "feature_weight": 0.1,
            "reduction": "mean",
        },
        "scores": {
            "search": "residual_mean",
            "encoder": "paper",
            "paper": "fanogan",
            "formulas": {},
            "needs_pixel_statistics": False,
        },
        "graphs": {
            name: {"file": f"{name}.onnx", "inputs": ["image"], "outputs": ["latent"]} for name in ("score", "search")
        },
        "sha256": {path.name: _sha256(path) for path in bundle.iterdir()},
        "parity": {},
        "training": {
            "source": "elpv:mono",
            "split_seed": 0,
            "n_training": 1,
            "n_skipped": 0,
            "fingerprints": [],
            "held_out": [],
            "steps": {},
        },
        "recipe": {},
        "versions": {},
    }
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle


def _change(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def _refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as raised:
        open_bundle(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def _calibration(folder: Path, value: float = 0.5) -> CalibrationRecord:
    statistics = folder / "calibration" / "0.safetensors"
    statistics.parent.mkdir(exist_ok=True)
    maps = {"pixel_mean": np.full((32, 32), 0.25, np.float32), "pixel_deviation": np.ones((32, 32), np.float32)}
    save_file(maps, statistics)
    return CalibrationRecord(
        created="2026-01-01T00:00:00+00:00",
        images="held out",
        rate_asked=None,
        steps=20,
        search=Threshold(value=value, n=99, k=99, false_alarm_rate=0.01, upper_limit_95=0.03),
        encoder=None,
        n_statistics=10,
        statistics_file="calibration/0.safetensors",
        statistics_sha256=_sha256(statistics),
        fingerprints=[],
    )


def test_a_whole_bundle_opens(folder):
    bundle = open_bundle(folder)
    assert bundle.manifest.system == "fanogan"
    assert bundle.graph_path("search") == folder / "search.onnx"
    assert bundle.starts().shape == (2, 8)
    assert bundle.calibration is None


def test_records_of_before_scale_and_health_are_read(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    assert "health" not in manifest
    assert "scale" not in manifest["scores"]
    append_calibration(folder, _calibration(folder))
    calibrations = json.loads((folder / CALIBRATION).read_text())
    for key in ("search_range", "encoder_range"):
        del calibrations["entries"][0][key]
    (folder / CALIBRATION).write_text(json.dumps(calibrations))
    bundle = open_bundle(folder)
    assert bundle.manifest.health == Health()
    assert bundle.manifest.scores.scale == "none"
    calibration = bundle.require_calibration()
    assert (calibration.search_range, calibration.encoder_range) == (None, None)


def test_records_of_before_feature_space_are_read(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    assert {"mode", "backbone", "choice"}.isdisjoint(manifest)
    assert {"weighing", "share"}.isdisjoint(manifest["scores"])
    opened = open_bundle(folder).manifest
    assert (opened.mode, opened.backbone, opened.choice) == ("search", None, None)
    assert opened.scores.weighing is None


def test_records_of_before_other_losses_are_read(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    assert {"residual", "huber_delta", "trimmed_share"}.isdisjoint(manifest["search"])
    assert open_bundle(folder).manifest.search.residual == "absolute"


def test_the_latents_prior_is_read_where_there_is_one(folder):
    with pytest.raises(BundleError, match=r"starts\.safetensors lacks 'mean' as float32 of shape \(8\)"):
        open_bundle(folder).prior()
    prior = {"mean": np.arange(8, dtype=np.float32), "deviation": np.full(8, 2, np.float32)}
    save_file({"latent": np.ones((2, 8), np.float32), **prior}, folder / "starts.safetensors")
    hashes = json.loads((folder / MANIFEST).read_text())["sha256"]
    _change(folder, sha256={**hashes, "starts.safetensors": _sha256(folder / "starts.safetensors")})
    found = open_bundle(folder).prior()
    np.testing.assert_array_equal(found.mean, prior["mean"])
    np.testing.assert_array_equal(found.deviation, prior["deviation"])


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    assert "is no bundle (it has no manifest.json); give the folder that 'ganspect export' wrote" in _refusal(tmp_path)


def test_an_absent_folder_is_no_bundle(tmp_path):
    assert "is no bundle" in _refusal(tmp_path / "absent")


@pytest.mark.parametrize("name", ["score.onnx", "weights.bin", "starts.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"lacks {name}; copy the bundle again" in _refusal(folder)


@pytest.mark.parametrize("name", ["score.onnx", "weights.bin", "starts.safetensors"])
def test_a_changed_byte_is_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name} was changed (its SHA-256 is not the recorded one)" in _refusal(folder)


def test_a_newer_schema_says_how_to_upgrade(folder):
    _change(folder, schema_version=SCHEMA_VERSION + 1, key_of_the_future=1)
    message = _refusal(folder)
    assert f"has schema version {SCHEMA_VERSION + 1}" in message
    assert "pip install -U ganspect" in message


def test_a_schema_version_that_is_no_number_is_refused(folder):
    _change(folder, schema_version="1")
    assert "has schema version '1'" in _refusal(folder)


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/hostname", "graphs/../../outside.onnx"])
def test_a_path_that_leaves_the_bundle_is_refused(folder, path):
    (folder.parent / "outside.onnx").write_bytes(b"graph")
    manifest = json.loads((folder / MANIFEST).read_text())
    hashes = {**manifest["sha256"], path: _sha256(folder.parent / "outside.onnx")}
    graphs = {**manifest["graphs"], "search": {"file": path, "inputs": [], "outputs": []}}
    _change(folder, sha256=hashes, graphs=graphs)
    assert f"names the file {path!r} outside itself; do not use this bundle" in _refusal(folder)


def test_a_link_that_leaves_the_bundle_is_refused(folder):
    (folder.parent / "outside.onnx").write_bytes(b"search.onnx")
    (folder / "search.onnx").unlink()
    (folder / "search.onnx").symlink_to(folder.parent / "outside.onnx")
    assert "'search.onnx' outside itself" in _refusal(folder)


def test_a_graph_without_hash_is_refused(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    hashes = {name: value for name, value in manifest["sha256"].items() if name != "search.onnx"}
    _change(folder, sha256=hashes)
    assert "gives no hash for search.onnx; export the bundle again" in _refusal(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"system": "fanogan"}', "\x00"])
def test_a_damaged_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_text(content)
    assert "is damaged" in _refusal(folder)


def test_an_unknown_key_in_the_manifest_is_named(folder):
    _change(folder, surprise=1)
    assert "'surprise': extra inputs are not permitted; export the bundle again" in _refusal(folder)


def test_a_wrong_value_in_the_manifest_is_named(folder):
    _change(folder, latent={"size": "many"})
    assert "'latent.size': input should be a valid integer" in _refusal(folder)


def test_a_graph_that_the_bundle_lacks_is_named(folder):
    with pytest.raises(BundleError, match="has no graph 'step'; it has score, search"):
        open_bundle(folder).graph_path("step")


def test_without_calibration_the_error_names_the_command(folder):
    bundle = open_bundle(folder)
    with pytest.raises(CalibrationError, match="has no threshold yet; run: ganspect calibrate"):
        bundle.require_calibration()
    with pytest.raises(CalibrationError, match="has no threshold yet"):
        bundle.pixel_statistics()


def test_the_newest_calibration_is_in_force_and_older_ones_stay(folder):
    append_calibration(folder, _calibration(folder, 0.5))
    append_calibration(folder, _calibration(folder, 0.7))
    assert open_bundle(folder).require_calibration().search.value == 0.7
    assert len(json.loads((folder / CALIBRATION).read_text())["entries"]) == 2


def test_pixel_statistics_are_those_of_the_calibration(folder):
    append_calibration(folder, _calibration(folder))
    statistics = open_bundle(folder).pixel_statistics()
    assert (statistics.mean == 0.25).all()
    assert (statistics.deviation == 1).all()


def _calibrated(folder: Path) -> Bundle:
    append_calibration(folder, _calibration(folder))
    return open_bundle(folder)


def test_changed_pixel_statistics_are_refused(folder):
    bundle = _calibrated(folder)
    (folder / "calibration" / "0.safetensors").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"0\.safetensors was changed"):
        bundle.pixel_statistics()


def test_missing_pixel_statistics_are_refused(folder):
    bundle = _calibrated(folder)
    (folder / "calibration" / "0.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks calibration/0\.safetensors"):
        bundle.pixel_statistics()


def test_pixel_statistics_outside_the_bundle_are_refused(folder):
    entry = _calibration(folder).model_copy(update={"statistics_file": "../0.safetensors"})
    append_calibration(folder, entry)
    with pytest.raises(BundleError, match=r"'\.\./0\.safetensors' outside itself"):
        open_bundle(folder).pixel_statistics()


def test_a_damaged_calibration_is_refused(folder):
    (folder / CALIBRATION).write_text("{")
    assert "calibration.json is damaged" in _refusal(folder)


def test_a_newer_calibration_is_refused(folder):
    (folder / CALIBRATION).write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "entries": []}))
    assert "pip install -U ganspect" in _refusal(folder)
