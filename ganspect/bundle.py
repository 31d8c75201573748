"""The bundle: what export writes once, and what a device adds beside it.

    bundle/
      manifest.json          what export wrote, with the SHA-256 of every file below; never changes afterwards
      *.onnx, weights.bin, starts.safetensors    the graphs, each weight once, random starts of the search and the prior
      calibration.json       thresholds, newest last; append-only, belongs to the device
      calibration/           per-pixel statistics of each calibration, safetensors
      signature.json         who vouches for the manifest, and for the calibration: see ganspect.runtime.trust

`open_bundle` checks everything before a graph is loaded.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ganspect.errors import BundleError, CalibrationError, one_line
from ganspect.files import checked_json, plain_file, sha256_of, write_atomically
from ganspect.records import SCHEMA_VERSION, CalibrationRecord, Calibrations, Manifest, Record

MANIFEST = "manifest.json"
CALIBRATION = "calibration.json"

RecordT = TypeVar("RecordT", bound=Record)

Check: TypeAlias = Callable[[Path, bytes, bytes | None], None]
"""Told a bundle's folder and the exact bytes of its manifest and its calibration (None: it has none) before either is
believed; raises `BundleError` where they are not to be trusted."""


class PixelStatistics(NamedTuple):
    """Mean and deviation of the residual at each pixel over normal images, (H,W) float32."""

    mean: np.ndarray[Any, np.dtype[np.float32]]
    deviation: np.ndarray[Any, np.dtype[np.float32]]

    def named(self) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        """Return both by the names of the graphs' inputs, which are those in the file too."""
        return {"pixel_mean": self.mean, "pixel_deviation": self.deviation}


class LatentPrior(NamedTuple):
    """Mean and deviation of each of the latent's dimensions, (D,) float32."""

    mean: np.ndarray[Any, np.dtype[np.float32]]
    deviation: np.ndarray[Any, np.dtype[np.float32]]


class Bundle:
    """An opened and checked bundle.

    Attributes:
        folder: where it lies.
        manifest: what export wrote.
        calibration: the one in force, or None if the bundle was never calibrated.
        manifest_sha256: of the manifest as it was read, whatever the file holds by now: what the bundle is called by.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, calibration: CalibrationRecord | None, manifest_sha256: str
    ) -> None:
        """Hold what `open_bundle` has checked; use that function instead."""
        self.folder = folder
        self.manifest = manifest
        self.calibration = calibration
        self.manifest_sha256 = manifest_sha256

    def graph_path(self, name: str, *variants: str) -> Path:
        """Return the file of a graph.

        Args:
            name: key of `Manifest.graphs`.
            variants: forms of it that are preferred, best first; where it has none of them, the plain float32 one.

        Raises:
            BundleError: the bundle has no such graph (a bundle without an encoder has no `score`).
        """
        if name not in self.manifest.graphs:
            raise BundleError(f"{self.folder} has no graph {name!r}; it has {', '.join(self.manifest.graphs)}")
        record = self.manifest.graphs[name]
        return self.folder / next((record.variants[form] for form in variants if form in record.variants), record.file)

    def has_variant(self, *variants: str) -> bool:
        """Return whether any graph of the bundle is there in any of these forms."""
        return any(form in graph.variants for graph in self.manifest.graphs.values() for form in variants)

    def starts(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the stored random start latents, (R,D) float32.

        Raises:
            BundleError: the file is missing, or holds something else.
        """
        shapes = {"latent": (None, self.manifest.latent.size)}
        return _arrays(self.folder / "starts.safetensors", shapes, np.float32)["latent"]

    def prior(self) -> LatentPrior:
        """Return the prior that the random starts are drawn from.

        Raises:
            BundleError: the file is missing, or holds something else, as those of older versions do.
        """
        shapes = dict.fromkeys(("mean", "deviation"), (self.manifest.latent.size,))
        arrays = _arrays(self.folder / "starts.safetensors", shapes, np.float32)
        return LatentPrior(mean=arrays["mean"], deviation=arrays["deviation"])

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
            BundleError: the file is missing, was changed, or holds something else.
        """
        record = self.require_calibration()
        path = _require_hash(self.folder, record.statistics_file, record.statistics_sha256)
        maps = _arrays(path, dict.fromkeys(("pixel_mean", "pixel_deviation"), self.manifest.image.size_hw), np.float32)
        return PixelStatistics(mean=maps["pixel_mean"], deviation=maps["pixel_deviation"])

    def pixel_inputs(
        self, graph: str, statistics: PixelStatistics | None = None
    ) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        """Return those pixel maps that a graph takes as inputs, mostly none.

        Args:
            graph: key of `Manifest.graphs`.
            statistics: None: those of the calibration in force.

        Raises:
            CalibrationError: the graph takes some, none are given, and the bundle was never calibrated.
        """
        inputs = self.manifest.graphs[graph].inputs
        if "pixel_mean" not in inputs:
            return {}
        return (statistics or self.pixel_statistics()).named()

    def calibration_tiles(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return tiles of normal frames that the calibration in force kept, (T,h,w,C) uint8, for comparisons.

        Raises:
            CalibrationError: the bundle was never calibrated, or by a version that kept none.
            BundleError: the file is missing, was changed, or holds something else.
        """
        record = self.require_calibration()
        if record.tiles_file is None or record.tiles_sha256 is None:
            raise CalibrationError(
                f"the calibration of {self.folder} kept no images to compare on; calibrate it again with: "
                f"ganspect calibrate {self.folder} FOLDER_OF_NORMAL_IMAGES"
            )
        image = self.manifest.image
        path = _require_hash(self.folder, record.tiles_file, record.tiles_sha256)
        return _arrays(path, {"tiles": (None, *image.size_hw, image.channels)}, np.uint8)["tiles"]


def open_bundle(folder: Path, *, check: Check | None = None) -> Bundle:
    """Open a bundle after checking its schema, its paths and the hash of every file.

    Args:
        folder: where it lies.
        check: decides whether it is to be trusted, from the very bytes that are used then; None: whoever wrote it.

    Raises:
        BundleError: it is missing, incomplete, changed, newer than this ganspect, points outside itself, or is not
            trusted.
    """
    if not os.path.isfile(folder / MANIFEST):
        raise BundleError(f"{folder} is no bundle (it has no {MANIFEST}); give the folder that 'ganspect export' wrote")
    # Each file is read once: what was checked is what is parsed, whoever replaces it meanwhile.
    content, calibration = _content(folder / MANIFEST), _content_if_any(folder / CALIBRATION)
    if check is not None:
        check(folder, content, calibration)
    manifest = _parse(folder / MANIFEST, content, Manifest)
    for graph in manifest.graphs.values():
        for file in (graph.file, *graph.variants.values()):
            if file not in manifest.sha256:
                raise BundleError(f"{folder / MANIFEST} gives no hash for {file}; export the bundle again")
    for name, sha256 in manifest.sha256.items():
        _require_hash(folder, name, sha256)
    entries = _entries(folder, calibration)
    return Bundle(folder, manifest, entries[-1] if entries else None, hashlib.sha256(content).hexdigest())


def append_calibration(folder: Path, entry: CalibrationRecord) -> None:
    """Add a calibration, which is in force from then on; older entries stay."""
    entries = _entries(folder, _content_if_any(folder / CALIBRATION))
    content = Calibrations(entries=[*entries, entry]).model_dump_json(indent=2) + "\n"
    write_atomically(folder / CALIBRATION, content.encode())


def _entries(folder: Path, content: bytes | None) -> list[CalibrationRecord]:
    return [] if content is None else _parse(folder / CALIBRATION, content, Calibrations).entries


def _content(path: Path) -> bytes:
    try:
        return plain_file(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); copy the bundle again") from error
    except ValueError as error:
        raise BundleError(f"{path} is damaged: {error}; copy the bundle again") from error


def _content_if_any(path: Path) -> bytes | None:
    return _content(path) if os.path.lexists(path) else None


def _parse(path: Path, text: bytes, model: type[RecordT]) -> RecordT:
    try:
        content = checked_json(text)
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged: it is no JSON with a schema_version; copy the bundle again") from error
    if type(version) is not int or version > SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version!r}, at most {SCHEMA_VERSION} can be read; run: pip install -U ganspect"
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # Its values are none of the sentence: they may be anything, and long.
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path}: {key!r}: {first['msg'].lower()}; export the bundle again") from error


def _arrays(
    path: Path, shapes: Mapping[str, tuple[int | None, ...]], dtype: type[np.generic]
) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Read arrays that must have these names, this type and these shapes; None: one or more.

    Raises:
        BundleError: the file is missing, damaged, or holds other arrays.
    """
    try:
        arrays = load_file(path)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read as arrays: {one_line(error)}; copy the bundle again") from error
    for name, shape in shapes.items():
        given = arrays[name].shape if name in arrays else ()
        fits = len(given) == len(shape) and all(
            have > 0 if want is None else have == want for have, want in zip(given, shape, strict=True)
        )
        if not fits or arrays[name].dtype != dtype:
            expected = ", ".join("N" if side is None else str(side) for side in shape)
            kind = np.dtype(dtype).name
            raise BundleError(f"{path} lacks {name!r} as {kind} of shape ({expected}); copy the bundle again")
    return arrays


def _inside(folder: Path, name: str) -> Path:
    try:
        path = (folder / name).resolve()
        path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL, a link to itself
        raise BundleError(f"{folder} names the file {name!r}, which no file can be called; copy it again") from error
    if Path(name).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise BundleError(f"{folder} names the file {name!r} outside itself; do not use this bundle")
    return path


def _require_hash(folder: Path, name: str, sha256: str) -> Path:
    path = _inside(folder, name)
    if not path.is_file():
        raise BundleError(f"{folder} lacks {name}; copy the bundle again from where it was exported")
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise BundleError(f"{folder / name} cannot be read: {error.strerror}; mend its permissions") from error
    if actual != sha256:
        raise BundleError(f"{folder / name} was changed (its SHA-256 is not the recorded one); copy the bundle again")
    return path
