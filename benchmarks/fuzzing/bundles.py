"""Files of a bundle: manifest, calibrations, arrays, and what a device keeps beside them.

attempt(manifest(folder), b"{}", sandbox)
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies
from hypothesis.strategies import DrawFn, SearchStrategy
from safetensors.numpy import save

from fuzzing.artefacts import LATENT, SIZE_HW, arrays, write_bundle
from fuzzing.target import FaultError, Target
from fuzzing.values import changed_bytes, changed_json, changed_values
from ganspect.bundle import CALIBRATION, MANIFEST, Bundle, open_bundle
from ganspect.preprocess import to_tiles
from ganspect.runtime.engines import ENGINES_FOLDER, INDEX, EngineCache
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.verification.record import VERIFICATION, read_verified

_STATISTICS = "calibration/statistics.safetensors"


def manifest(folder: Path) -> Target:
    """Return the target of manifest.json; what is accepted is used as an inspector would."""
    bundle = write_bundle(folder / "manifest")
    path = bundle / MANIFEST
    (folder / "outside.onnx").write_bytes(b"score")
    (bundle / "link.onnx").symlink_to(folder / "outside.onnx")
    content = json.loads(path.read_bytes())
    named = {name: _pointed(content, name) for name in ("../outside.onnx", "link.onnx", str(folder / "outside.onnx"))}

    def run(text: bytes) -> None:
        path.write_bytes(text)
        _use(open_bundle(bundle))

    return Target("manifest.json", changed_json([content, *named.values()]), run)


def calibration(folder: Path) -> Target:
    """Return the target of calibration.json."""
    bundle = write_bundle(folder / "calibration")
    path = bundle / CALIBRATION
    content = json.loads(path.read_bytes())
    outside = json.loads(path.read_bytes())
    outside["entries"][0]["statistics_file"] = "../../outside.onnx"

    def run(text: bytes) -> None:
        path.write_bytes(text)
        opened = open_bundle(bundle)
        _use(opened)
        opened.calibration_tiles()

    return Target("calibration.json", changed_json([content, outside]), run)


def tensors(folder: Path) -> Target:
    """Return the target of the safetensors files: starts, statistics and tiles, whose hashes fit."""
    bundle = write_bundle(folder / "tensors")
    records = {name: json.loads((bundle / name).read_bytes()) for name in (MANIFEST, CALIBRATION)}
    hashes = {"starts.safetensors": (MANIFEST, records[MANIFEST]["sha256"], "starts.safetensors")}
    entry = records[CALIBRATION]["entries"][0]
    hashes[_STATISTICS] = (CALIBRATION, entry, "statistics_sha256")
    hashes["calibration/tiles.safetensors"] = (CALIBRATION, entry, "tiles_sha256")

    def run(given: tuple[str, bytes]) -> None:
        name, content = given
        before = (bundle / name).read_bytes()
        record, place, key = hashes[name]
        sha256 = place[key]
        try:
            (bundle / name).write_bytes(content)
            place[key] = hashlib.sha256(content).hexdigest()
            (bundle / record).write_text(json.dumps(records[record]))
            opened = open_bundle(bundle)
            _use(opened)
            opened.calibration_tiles()
        finally:
            place[key] = sha256
            (bundle / name).write_bytes(before)
            (bundle / record).write_text(json.dumps(records[record]))

    names = strategies.sampled_from(sorted(hashes))
    return Target(
        "safetensors", names.flatmap(lambda name: strategies.tuples(strategies.just(name), _tensors(name))), run
    )


def engines(folder: Path) -> Target:
    """Return the target of the engines' index."""
    bundle = open_bundle(write_bundle(folder / "engines"))
    cache = EngineCache(bundle)
    keys = [cache.key("openvino", "2026.4", "CPU", "fp32", "score", bundle.graph_path("score"))]
    cache.put(keys, b"engine")
    path = bundle.folder / ENGINES_FOLDER / INDEX
    content = json.loads(path.read_bytes())
    outside = json.loads(path.read_bytes())
    (folder / "outside.engine").write_bytes(b"engine")
    outside["engines"][0]["file"] = "../../outside.engine"

    def run(text: bytes) -> None:
        path.write_bytes(text)
        if cache.mapped(keys[0]) is not None and b"../" in text:
            raise FaultError("an engine outside the bundle is used")
        cache.get_or_build(keys, lambda: b"engine")

    return Target("engines.json", changed_json([content, outside]), run)


def verification(folder: Path) -> Target:
    """Return the target of verification.json."""
    bundle = open_bundle(write_bundle(folder / "verification"))
    figures = ("largest_error", "mean_error", "rank", "margin", "flip_rate", "flip_rate_limit_95", "guard", "room")
    counts = ("n", "not_numbers", "flips", "n_plain", "n_straddling", "straddling_flips", "n_within", "within_flips")
    agreement = {**dict.fromkeys(figures, 0.5), **dict.fromkeys((*counts, "within_reference_flips"), 3)}
    entry = {
        **{"backend": "openvino", "version": "2026.4", "device": "CPU", "precision": "bf16", "machine": "a CPU"},
        **{"passed": True, "flip_limit": 0.001, "search": agreement, "encoder": agreement, "steps": 5},
        **{"guard": {"search": 0.01, "encoder": 0.0}, "frame_ms": 2.0, "encoder_ms": None},
        **{"calibration": "2026-11-24", "graphs_sha256": "ab", "created": "2026-11-24"},
    }
    content = {"schema_version": 1, "entries": [entry]}
    path = bundle.folder / VERIFICATION

    def run(text: bytes) -> None:
        path.write_bytes(text)
        for verified in read_verified(bundle):
            verified.time_of("encoder")

    return Target("verification.json", changed_json([content]), run)


def _use(bundle: Bundle) -> None:
    """Do with an opened bundle what inspectors and backends do before a graph is loaded."""
    if len(bundle.manifest.graphs) > 10_000:
        raise FaultError("a bundle of so many graphs was accepted")
    for graph in bundle.manifest.graphs:
        if not bundle.graph_path(graph, "bf16").resolve().is_relative_to(bundle.folder.resolve()):
            raise FaultError("a graph outside the bundle is used")
    threshold = bundle.require_calibration().search
    if not np.isfinite(threshold.value):
        raise FaultError(f"the threshold {threshold.value} was accepted")
    if bundle.starts().shape[1] != bundle.manifest.latent.size:
        raise FaultError("starts of another length than the latent were accepted")
    to_tiles(np.zeros((48, 40), np.uint8 if bundle.manifest.image.bits == 8 else np.uint16), tile_grid(bundle))
    if bundle.pixel_statistics().mean.shape != bundle.manifest.image.size_hw:
        raise FaultError("pixel statistics of another size than the image were accepted")


def _pointed(content: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a manifest whose graph lies somewhere else, with the right hash."""
    changed: dict[str, Any] = json.loads(json.dumps(content))
    changed["graphs"]["score"]["file"] = name
    changed["sha256"][name] = hashlib.sha256(b"score").hexdigest()
    return changed


def _tensors(name: str) -> SearchStrategy[bytes]:
    """Return safetensors files near the real one: other bytes, another header, other arrays."""
    real = save(arrays()[name])
    return strategies.one_of(changed_bytes([real]), _headers(real), _other_arrays(list(arrays()[name])))


@strategies.composite
def _headers(draw: DrawFn, real: bytes) -> bytes:
    length = int.from_bytes(real[:8], "little")
    header = draw(changed_values([json.loads(real[8 : 8 + length])]))
    text = json.dumps(header).encode()
    claimed = draw(strategies.sampled_from((len(text), len(text), len(text), 0, 2**40, 2**64 - 1)))
    return claimed.to_bytes(8, "little") + text + real[8 + length :]


@strategies.composite
def _other_arrays(draw: DrawFn, names: Sequence[str]) -> bytes:
    sides = strategies.sampled_from((0, 1, 2, 3, LATENT, *SIZE_HW))
    kinds = strategies.sampled_from((np.float32, np.float64, np.float16, np.uint8, np.int64, np.bool_))
    shape = draw(strategies.lists(sides, max_size=4))
    fill = draw(strategies.sampled_from((0.0, 1.0, float("nan"), float("inf"), -1.0)))
    with np.errstate(invalid="ignore"):
        return save({name: np.full(shape, fill).astype(draw(kinds)) for name in names})
