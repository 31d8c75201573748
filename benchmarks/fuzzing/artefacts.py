"""Small real files to begin with: a bundle whose graphs are never run, a station's history, pictures, a video.

write_bundle(folder)
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import save

from ganspect.bundle import CALIBRATION, MANIFEST
from ganspect.opencv import cv2
from ganspect.preprocess import Frame
from ganspect.records import (
    CalibrationRecord,
    Calibrations,
    GraphRecord,
    ImageRecord,
    LatentRecord,
    Manifest,
    Record,
    ScoreRange,
    ScoreRecord,
    SearchRecord,
    Threshold,
    TrainingRecord,
)
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.history import Entry, History
from ganspect.runtime.verdict import Verdict

SIZE_HW = (32, 32)
LATENT = 8
BEGIN_NS = 1_700_000_000_000_000_000


def arrays() -> dict[str, dict[str, np.ndarray]]:
    """Return what the bundle's safetensors files hold, by their paths in it."""
    flat = np.full(SIZE_HW, 0.25, np.float32)
    return {
        "starts.safetensors": {"latent": np.zeros((2, LATENT), np.float32)},
        "calibration/statistics.safetensors": {"pixel_mean": flat, "pixel_deviation": flat},
        "calibration/tiles.safetensors": {"tiles": np.zeros((2, *SIZE_HW, 1), np.uint8)},
    }


def write_bundle(folder: Path) -> Path:
    """Write a bundle that opens; its graphs are no ONNX."""
    (folder / "calibration").mkdir(parents=True)
    files = {name: save(content) for name, content in arrays().items()}
    files |= {f"{name}.onnx": name.encode() for name in ("score", "search", "search.bf16")}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    write: dict[str, Record] = {MANIFEST: _manifest({name: sha for name, sha in sha256.items() if "/" not in name})}
    write[CALIBRATION] = _calibrations(sha256)
    for name, record in write.items():
        (folder / name).write_text(record.model_dump_json(indent=2), encoding="utf-8")
    return folder


def entries(count: int = 12) -> list[Entry]:
    """Return verdicts, some of each kind."""
    return [_entry(number) for number in range(count)]


def write_history(path: Path, count: int = 12) -> bytes:
    """Write a history, and return the file's content."""
    path.unlink(missing_ok=True)
    with History.open(path) as history:
        history.append(entries(count))
    return path.read_bytes()


def pictures() -> dict[str, bytes]:
    """Return small pictures in every format that is read, and in some that are not, by a name with suffix."""
    grey = np.arange(24 * 20, dtype=np.uint8).reshape(24, 20)
    colour = np.dstack([grey, grey.T.reshape(24, 20), grey[::-1]])
    deep, floats = grey.astype(np.uint16) * 200, colour.astype(np.float32)
    tiff = cv2.IMWRITE_TIFF_COMPRESSION
    return {
        "grey.png": _encoded(".png", grey),
        "colour.png": _encoded(".png", colour),
        "deep.png": _encoded(".png", deep),
        "alpha.png": _encoded(".png", np.dstack([colour, grey])),
        "grey.jpg": _encoded(".jpg", grey),
        "progressive.jpg": _encoded(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "colour.bmp": _encoded(".bmp", colour),
        "plain.tif": _encoded(".tif", deep, tiff, 1),
        "deflate.tif": _encoded(".tif", colour, tiff, 8),
        "lzw.tiff": _encoded(".tiff", floats, tiff, 5),
        "text.png": b"no picture",
    }


def video(path: Path, frames: int = 6) -> bytes:
    """Write a short video, and return its content."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE_HW)
    for number in range(frames):
        writer.write(np.full((*SIZE_HW, 3), 20 * number, np.uint8))
    writer.release()
    return path.read_bytes()


def _encoded(suffix: str, image: Frame, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, list(options))[1].tobytes())


def _manifest(sha256: dict[str, str]) -> Manifest:
    graph: dict[str, Any] = {"inputs": ["image", "pixel_mean", "pixel_deviation"], "outputs": ["latent"]}
    search: dict[str, Any] = {"learning_rate": 0.05, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    return Manifest(
        ganspect_version="0.1.0",
        system="fanogan",
        image=ImageRecord(size_hw=SIZE_HW, channels=1, colour_order="grey", bits=8, fit="tiles", overlap=0.25),
        latent=LatentRecord(size=LATENT),
        search=SearchRecord(steps=5, burn_in=0, restarts=1, **search, clip=None, feature_weight=0.1, reduction="mean"),
        scores=ScoreRecord(
            search="residual_mean", encoder="fanogan", paper="fanogan", formulas={}, needs_pixel_statistics=True
        ),
        graphs={
            "score": GraphRecord(file="score.onnx", **graph),
            "search": GraphRecord(file="search.onnx", **graph, variants={"bf16": "search.bf16.onnx"}),
        },
        sha256=sha256,
        parity={"step": {"largest": 1e-6}},
        training=TrainingRecord(
            source="elpv:mono", split_seed=0, n_training=9, n_skipped=0, fingerprints=["ab"], held_out=[], steps={}
        ),
        recipe={"system": "fanogan"},
        versions={"torch": "2.13"},
    )


def _calibrations(sha256: dict[str, str]) -> Calibrations:
    threshold = Threshold(value=0.2, n=70, k=70, false_alarm_rate=0.014, upper_limit_95=0.04)
    entry = CalibrationRecord(
        created="2026-11-24T10:43:31+00:00",
        images="normal",
        rate_asked=None,
        steps=5,
        search=threshold,
        encoder=threshold,
        n_statistics=24,
        statistics_file="calibration/statistics.safetensors",
        statistics_sha256=sha256["calibration/statistics.safetensors"],
        fingerprints=["ab"],
        search_range=ScoreRange(low=0.1, high=0.2),
        tiles_file="calibration/tiles.safetensors",
        tiles_sha256=sha256["calibration/tiles.safetensors"],
    )
    return Calibrations(entries=[entry])


def _entry(number: int) -> Entry:
    kinds: tuple[Literal["normal", "anomalous", "undecided"], ...] = ("normal", "anomalous", "undecided")
    kind = kinds[number % 3]
    shot = Shot("video.mp4", number, BEGIN_NS + number, np.zeros((4, 6), np.uint8), 0.5)
    verdict = Verdict(
        verdict=kind,
        anomalous=kind != "normal",
        score=0.25,
        start_score=0.5,
        threshold=0.3,
        outcome="complete",
        steps=3,
        heat_map=np.zeros((4, 6), np.float32),
        regions=(),
        latency_ms={"preprocess": 0.1, "score": 1.0, "search": 2.0, "total": 3.1},
    )
    arrival = Arrival("left", number, shot, 0, shot.timestamp_ns)
    return Entry.of(arrival, verdict, mode="search", bundle="0" * 16, waited_ms=0.4)
