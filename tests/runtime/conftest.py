"""Fixtures of the runtime's tests: bundles with other thresholds, frames, videos, and a backend that counts."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file
from station_rig.plc import Plc

from ganspect.bundle import MANIFEST, append_calibration, open_bundle
from ganspect.export.exporter import STARTS, search_record, sizes_of, write_manifest
from ganspect.export.formulas import compose
from ganspect.export.graphs import graph_builders
from ganspect.export.weights import WeightFile
from ganspect.opencv import cv2
from ganspect.records import ScoreRange
from ganspect.runtime import Inspector
from ganspect.runtime.backends import Arrays, Backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.calibration import calibrate
from ganspect.train.run import load_run
from tests.conftest import made_once, scratched, texture


class CountingBackend:
    """A real backend that remembers which graphs ran on how many rows."""

    def __init__(self, backend: Backend) -> None:
        self.calls: list[tuple[str, int]] = []
        self.name, self.version = backend.name, backend.version
        self.precision, self.device = backend.precision, backend.device
        self._backend = backend

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        self.calls.append((graph, len(inputs["image"])))
        return self._backend.run(graph, inputs)

    def rows_of(self, graph: str) -> list[int]:
        return [rows for name, rows in self.calls if name == graph]


def change_manifest(folder: Path, **sections: dict[str, object]) -> Path:
    """Change keys of a copied bundle's manifest, which no hash covers."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    for name, changes in sections.items():
        manifest[name].update(changes)
    path.write_text(json.dumps(manifest))
    return folder


def set_threshold(folder: Path, value: float, *, mode: str = "search") -> Path:
    """Put another threshold in force in a copied bundle."""
    record = open_bundle(folder).require_calibration()
    threshold = getattr(record, mode).model_copy(update={"value": value})
    append_calibration(folder, record.model_copy(update={mode: threshold}))
    return folder


def set_scale(folder: Path, search: tuple[float, float], encoder: tuple[float, float]) -> Path:
    """Let a copied bundle report scores scaled by these ranges, low and high."""
    record = open_bundle(folder).require_calibration()
    ranges = {"search": search, "encoder": encoder}
    changes = {f"{mode}_range": ScoreRange(low=low, high=high) for mode, (low, high) in ranges.items()}
    append_calibration(folder, record.model_copy(update=changes))
    return change_manifest(folder, scores={"scale": "min_max"})


def export_rescored(out: Path, run_folder: Path) -> Path:
    """Export only what screening runs, with the calibrated residual as search score."""
    out.mkdir()
    run = load_run(run_folder)
    score = run.recipe.score.model_copy(update={"search": "residual_calibrated"})
    run = replace(run, recipe=run.recipe.model_copy(update={"score": score}))
    formulas = compose(run.system, search_record(run.recipe), score.search, score.encoder)
    builders, weights = graph_builders(formulas, sizes_of(run.recipe)), WeightFile()
    for name in ("score", "search"):
        model = builders[name]()
        weights.take_out(model)
        onnx.save(model, out / f"{name}.onnx")
    weights.write(out)
    random = np.random.default_rng(10)
    save_file({"latent": random.standard_normal((4, 8)).astype(np.float32)}, out / STARTS)
    write_manifest(run, out, {})
    calibrate(out, [(f"{index}", texture(random)) for index in range(8)], None, "stripes")
    return out


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a bundle, so that the test may change it."""

    def copy_bundle(bundle: Path) -> Path:
        return shutil.copytree(bundle, tmp_path / f"{bundle.name}_copy")

    return copy_bundle


@pytest.fixture(scope="session")
def rescored_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """The tiny f-AnoGAN with a deployed score that needs pixel statistics."""
    return made_once(tmp_path_factory, "rescored", lambda out: export_rescored(out, tiny_run))


@pytest.fixture(scope="session")
def normal_frames() -> list[np.ndarray]:
    """Eight normal frames, (40,48) uint8, that no bundle has seen."""
    random = np.random.default_rng(11)
    return [texture(random) for _ in range(8)]


@pytest.fixture(scope="session")
def scratched_frames(normal_frames: list[np.ndarray]) -> list[np.ndarray]:
    """The normal frames with a bright line."""
    random = np.random.default_rng(12)
    return [scratched(random, frame)[0] for frame in normal_frames]


@pytest.fixture(scope="session")
def tiles(normal_frames: list[np.ndarray], scratched_frames: list[np.ndarray]) -> np.ndarray:
    """Sixteen tiles of the tiny bundles, (16,32,32,1) uint8: normal ones, then scratched ones."""
    frames = [*normal_frames, *scratched_frames]
    return np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)[..., None] for frame in frames])


@pytest.fixture
def image_folder(tmp_path: Path, normal_frames: list[np.ndarray], scratched_frames: list[np.ndarray]) -> Path:
    """A folder of four images, two of them scratched."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, frame in enumerate([*normal_frames[:2], *scratched_frames[:2]]):
        cv2.imwrite(str(folder / f"part_{index}.png"), frame)
    return folder


@pytest.fixture
def video_file(tmp_path: Path, normal_frames: list[np.ndarray]) -> Path:
    """A video of eight frames, 10 a second."""
    return write_video(tmp_path / "line.avi", normal_frames)


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    """Write grey frames as MJPG."""
    height, width = frames[0].shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@pytest.fixture(scope="session")
def inspector(tiny_bundle: Path):
    """An inspector of the tiny bundle with one thread."""
    with Inspector.load(tiny_bundle, tuning=Tuning(threads=1)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def running_plc():
    plc = Plc()
    yield plc
    plc.kill()


@pytest.fixture
def plc(running_plc):
    """Return a real Modbus server that has noted no write yet."""
    running_plc.writes.clear()
    return running_plc
