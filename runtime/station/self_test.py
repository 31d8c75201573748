"""Whether an inspector that was just loaded may judge a line: tried before it takes over, while the other one goes on.

self_test(new, old, {"left": frame})      # raises BundleError, one sentence
"""

from collections.abc import Mapping

import numpy as np

from ganspect.bundle import Bundle
from ganspect.errors import BundleError, GanspectError
from ganspect.preprocess import Frame
from ganspect.records import Mode, Threshold
from ganspect.runtime.backends import Backend
from ganspect.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.guard import Guarded
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.rows import Array
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verification.agreement import Scores, compare
from ganspect.runtime.verification.nudged import Nudged

_TILES = 12
"""Calibration tiles that are tried: the line goes on meanwhile, on the same cores."""

_RANDOM = 4
_BESIDE = Tuning(threads=1, spinning=False)
"""How the reference uses the CPU: threads that wait busily would take the line's cores."""

_FLAGGED_AT_MOST = 0.2
"""Share of normal tiles that may be flagged, or three times the calibrated rate where that is more."""


def self_test(new: Inspector, old: Inspector, frames: Mapping[str, Frame]) -> None:
    """Try an inspector on calibration tiles, on random images, and on the last frame of each camera.

    Args:
        new: that is to take over; nothing else uses it yet.
        old: that judges now; only looked at.
        frames: last frame of each camera that has given any.

    Raises:
        BundleError: its input is of another kind, its scores are no numbers or not the reference's, it flags normal
            tiles, or it cannot judge a camera's frame.
    """
    _require_same_input(new.bundle, old.bundle)
    tiles = new.bundle.calibration_tiles()
    tiles = tiles[:: -(-len(tiles) // _TILES)]
    random = np.random.default_rng(0).integers(0, 256, (_RANDOM, *tiles.shape[1:]), dtype=np.uint8)
    given = _scores(new.bundle, new.backend, new.mode, tiles, random)
    if not np.isfinite(given.together()).all():
        raise BundleError(f"{new.bundle.folder} gives scores that are no numbers; export it again")
    _require_reference(new, given, tiles, random)
    _require_few_flags(new, given.normal)
    for camera, frame in frames.items():
        _require_judged(new, camera, frame)


def _require_same_input(new: Bundle, old: Bundle) -> None:
    for key in ("channels", "colour_order", "bits"):
        here, there = getattr(new.manifest.image, key), getattr(old.manifest.image, key)
        if here != there:
            raise BundleError(
                f"{new.folder} takes images with {key} {here}, the bundle in force with {there}, so it is for another "
                "camera; if that is meant, restart the station"
            )


def _require_reference(new: Inspector, given: Scores, tiles: Array, random: Array) -> None:
    with OnnxRuntimeCpu(new.bundle, tuning=_BESIDE, plain=True) as reference:
        expected = _scores(new.bundle, reference, new.mode, tiles, random)
        nudged = _scores(new.bundle, Nudged(reference), new.mode, tiles, random)
    guard: float = getattr(new.backend.guard, new.mode) if isinstance(new.backend, Guarded) else 0.0
    agreement = compare(given, expected, nudged, threshold=_threshold(new).value, guard=guard)
    if reasons := agreement.failures():
        raise BundleError(
            f"{new.backend.name} in {new.backend.precision} does not give the reference's verdicts with "
            f"{new.bundle.folder}: {'; '.join(reasons)}; see: ganspect verify {new.bundle.folder}"
        )


def _require_few_flags(new: Inspector, scores: Array) -> None:
    threshold = _threshold(new)
    share = float((scores > np.float32(threshold.value)).mean())
    if share > max(_FLAGGED_AT_MOST, 3 * threshold.false_alarm_rate):
        raise BundleError(
            f"{new.bundle.folder} flags {share:.0%} of the normal tiles that its calibration kept, which was made for "
            f"{threshold.false_alarm_rate:.1%} of normal frames; calibrate it again"
        )


def _require_judged(new: Inspector, camera: str, frame: Frame) -> None:
    try:
        verdict = new.inspect(frame)
    except GanspectError as error:
        raise BundleError(f"{new.bundle.folder} cannot judge the frames of camera {camera}: {error}") from error
    if not np.isfinite(verdict.score):
        raise BundleError(f"{new.bundle.folder} gives a frame of camera {camera} a score that is no number")


def _threshold(inspector: Inspector) -> Threshold:
    calibration = inspector.calibration
    return calibration.encoder if inspector.mode == "encoder" and calibration.encoder else calibration.search


def _scores(bundle: Bundle, backend: Backend, mode: Mode, tiles: Array, random: Array) -> Scores:
    both = np.concatenate([tiles, random])
    search = LatentSearch(bundle, backend)
    start = search.score(both) if mode == "encoder" else None
    steps = bundle.require_calibration().steps
    scores = search.full(both, steps=steps).score if start is None else start.encoder_score
    return Scores(scores[: len(tiles)], scores[len(tiles) :], np.zeros(0, np.float32))
