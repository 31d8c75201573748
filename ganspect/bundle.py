"""The bundle: what export writes once, and what a device adds beside it.

    bundle/
      manifest.json          what export wrote, with the SHA-256 of every file below; never changes afterwards
      *.onnx, weights.bin, starts.safetensors    the graphs, each weight once, random starts for the search
      calibration.json       thresholds, newest last; append-only, belongs to the device
      calibration/           per-pixel statistics of each calibration, safetensors

`open_bundle` checks everything before a graph is loaded.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import load_file

from ganspect.errors import BundleError, CalibrationError
from ganspect.files import sha256_of, write_atomically

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
CALIBRATION = "calibration.json"


class Record(BaseModel):
    """A part of the manifest or the calibration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


RecordT = TypeVar("RecordT", bound=Record)


class ImageRecord(Record):
    """The model's input; see `ganspect.config.ImageSettings` for the fields shared with recipes."""

    size_hw: tuple[int, int]
    channels: Literal[1, 3]
    colour_order: Literal["grey", "rgb"]
    bits: Literal[8, 12, 16]
    fit: Literal["resize", "tiles"]
    overlap: float


class LatentRecord(Record):
    """The latent space: length, and the prior that the generator was trained on."""

    size: int
    prior: Literal["normal"] = "normal"
    scale: float = 1.0


class SearchRecord(Record):
    """The search as frozen into the graphs; `steps` is the default K and may be changed at run time."""

    steps: int
    burn_in: int
    restarts: int
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float | None
    feature_weight: float
    reduction: Literal["mean", "sum"]


class ScoreRecord(Record):
    """Scores: the one that the search tracks, the encoder's, and every formula by name."""

    search: str
    encoder: str | None
    paper: str
    formulas: dict[str, str]
    needs_pixel_statistics: bool


class GraphRecord(Record):
    """One ONNX graph: its file and the names of its inputs and outputs, in order."""

    file: str
    inputs: list[str]
    outputs: list[str]


class TrainingRecord(Record):
    """What the networks were trained on, so that evaluation on the same images can be refused.

    Attributes:
        source: the data set as the recipe named it.
        split_seed: of the train/test split and the held-out part.
        n_training: images trained on.
        n_skipped: unreadable images that were left out.
        fingerprints: of the images trained on (see `ganspect.datasets.fingerprint`).
        held_out: fingerprints of the normal images kept back for calibration.
        steps: training steps by stage.
    """

    source: str
    split_seed: int
    n_training: int
    n_skipped: int
    fingerprints: list[str]
    held_out: list[str]
    steps: dict[str, int]


class Manifest(Record):
    """`manifest.json`: everything that a runtime must know, and the hash of every file."""

    schema_version: int = SCHEMA_VERSION
    ganspect_version: str
    system: str
    image: ImageRecord
    latent: LatentRecord
    search: SearchRecord
    scores: ScoreRecord
    graphs: dict[str, GraphRecord]
    sha256: dict[str, str] = Field(description="of every file that export wrote, by its path in the bundle")
    parity: dict[str, Any]
    training: TrainingRecord
    recipe: dict[str, Any]
    versions: dict[str, str]


class Threshold(Record):
    """A conformal threshold: the k-th smallest of n held-out normal scores.

    Attributes:
        value: T; a frame is normal if its score is at or under it.
        n: frames that it was taken from.
        k: its rank among them, from 1.
        false_alarm_rate: a, the most that a fresh normal frame is flagged on average.
        upper_limit_95: the rate that is not exceeded in 95% of such calibrations, Beta(n+1-k, k).
    """

    value: float
    n: int
    k: int
    false_alarm_rate: float
    upper_limit_95: float


class CalibrationRecord(Record):
    """One calibration: its thresholds and how they came about.

    Attributes:
        created: time of day, ISO 8601 with zone.
        images: where the normal images came from.
        rate_asked: the false-alarm rate asked for; None: the smallest supported one from 1% up.
        steps: K of the search when scoring, exit off.
        search: threshold of the search score.
        encoder: threshold of the encoder score; None without an encoder.
        n_statistics: frames that the pixel statistics were taken from (disjoint from the threshold's).
        statistics_file: safetensors with `pixel_mean` and `pixel_deviation` (H,W), path in the bundle.
        statistics_sha256: its hash.
        fingerprints: of all frames used.
    """

    created: str
    images: str
    rate_asked: float | None
    steps: int
    search: Threshold
    encoder: Threshold | None
    n_statistics: int
    statistics_file: str
    statistics_sha256: str
    fingerprints: list[str]


class Calibrations(Record):
    """`calibration.json`; the newest entry, the last, is in force."""

    schema_version: int = SCHEMA_VERSION
    entries: list[CalibrationRecord]


class PixelStatistics(NamedTuple):
    """Mean and deviation of the residual at each pixel over normal images, (H,W) float32."""

    mean: np.ndarray[Any, np.dtype[np.float32]]
    deviation: np.ndarray[Any, np.dtype[np.float32]]


class Bundle:
    """An opened and checked bundle.

    Attributes:
        folder: where it lies.
        manifest: what export wrote.
        calibration: the one in force, or None if the bundle was never calibrated.
    """

    def __init__(self, folder: Path, manifest: Manifest, calibration: CalibrationRecord | None) -> None:
        """Hold what `open_bundle` has checked; use that function instead."""
        self.folder = folder
        self.manifest = manifest
        self.calibration = calibration

    def graph_path(self, name: str) -> Path:
        """Return the file of a graph.

        Raises:
            BundleError: the bundle has no such graph (a bundle without an encoder has no `score`).
        """
        if name not in self.manifest.graphs:
            raise BundleError(f"{self.folder} has no graph {name!r}; it has {', '.join(self.manifest.graphs)}")
        return self.folder / self.manifest.graphs[name].file

    def starts(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the stored random start latents, (R,D) float32."""
        return load_file(self.folder / "starts.safetensors")["latent"]

    def require_calibration(self) -> CalibrationRecord:
        """Return the calibration in force.

        Raises:
            CalibrationError: there is none.
        """
        if self.calibration is None:
            raise CalibrationError(
                f"{self.folder} has no threshold yet; run: ganspect calibrate {self.folder} FOLDER_OF_NORMAL_IMAGES"
            )
        return self.calibration

    def pixel_statistics(self) -> PixelStatistics:
        """Return the pixel statistics of the calibration in force.

        Raises:
            CalibrationError: the bundle was never calibrated.
            BundleError: the file is missing or was changed.
        """
        record = self.require_calibration()
        maps = load_file(_require_hash(self.folder, record.statistics_file, record.statistics_sha256))
        return PixelStatistics(mean=maps["pixel_mean"], deviation=maps["pixel_deviation"])


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle after checking its schema, its paths and the hash of every file.

    Raises:
        BundleError: it is missing, incomplete, changed, newer than this ganspect, or points outside itself.
    """
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is no bundle (it has no {MANIFEST}); give the folder that 'ganspect export' wrote")
    manifest = _read(folder / MANIFEST, Manifest)
    for graph in manifest.graphs.values():
        if graph.file not in manifest.sha256:
            raise BundleError(f"{folder / MANIFEST} gives no hash for {graph.file}; export the bundle again")
    for name, sha256 in manifest.sha256.items():
        _require_hash(folder, name, sha256)
    path = folder / CALIBRATION
    entries = _read(path, Calibrations).entries if path.exists() else []
    return Bundle(folder, manifest, entries[-1] if entries else None)


def append_calibration(folder: Path, entry: CalibrationRecord) -> None:
    """Add a calibration, which is in force from then on; older entries stay."""
    path = folder / CALIBRATION
    entries = _read(path, Calibrations).entries if path.exists() else []
    content = Calibrations(entries=[*entries, entry]).model_dump_json(indent=2) + "\n"
    write_atomically(path, content.encode())


def _read(path: Path, model: type[RecordT]) -> RecordT:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged: it is no JSON with a schema_version; copy the bundle again") from error
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version!r}, at most {SCHEMA_VERSION} can be read; run: pip install -U ganspect"
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path}: {key!r}: {first['msg'].lower()}; export the bundle again") from error


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise BundleError(f"{folder} names the file {name!r} outside itself; do not use this bundle")
    return path


def _require_hash(folder: Path, name: str, sha256: str) -> Path:
    path = _inside(folder, name)
    if not path.is_file():
        raise BundleError(f"{folder} lacks {name}; copy the bundle again from where it was exported")
    if sha256_of(path) != sha256:
        raise BundleError(
            f"{folder / name} was changed (its SHA-256 is not the recorded one); copy the bundle again"
        )
    return path
