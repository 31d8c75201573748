"""Thresholds from normal images of the place where the bundle will work, and the pixel statistics beside them.

ganspect calibrate bundle normal_images --false-alarm-rate 0.02
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from ganspect.bundle import Bundle, PixelStatistics, append_calibration, open_bundle
from ganspect.clock import utc_now
from ganspect.datasets import Skipped, fingerprint, split_calibration
from ganspect.errors import CalibrationError
from ganspect.files import require_writable
from ganspect.preprocess import Frame
from ganspect.progress import progress_bar
from ganspect.records import CalibrationRecord, GoodPeriodRecord, ScoreRange, Threshold
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.conformal import LEAST_RATE, conformal_threshold, exact_rate, least_count, smallest_rate
from ganspect.runtime.frames import ScoredFrame, score_frames
from ganspect.runtime.kept import tiles_to_keep, write_arrays
from ganspect.runtime.normal_images import NamedFrame, read_normal
from ganspect.runtime.scale import min_max_scale
from ganspect.runtime.search import LatentSearch, neutral_statistics
from ganspect.scoring import DEVIATION_FLOOR


@dataclass(frozen=True)
class _Parts:
    """Normal frames for the statistics and, disjoint from them, for the threshold."""

    statistics: list[NamedFrame]
    threshold: list[NamedFrame]
    fingerprints: list[str]


def calibrate_folder(
    bundle_folder: Path, images: str, rate: float | None, levels: tuple[int, int] | None = None
) -> None:
    """Calibrate a bundle on a folder of normal images and print the thresholds.

    Args:
        bundle_folder: the bundle.
        images: a flat folder, a station's good period, a data set in the MVTec layout (its train/good), or an `.npz`
            file.
        rate: false-alarm rate asked for; None: the smallest supported one from 1% up.
        levels: the images' raw levels for the model's black and white; None: they are as the model takes them.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the folder is missing, empty, or holds no readable image.
        CalibrationError: too few images for the rate, some that the bundle was trained on, or a good period that is
            open, incomplete or was changed.
        OutputError: the bundle cannot be written.
    """
    bundle = open_bundle(bundle_folder)
    require_writable(bundle_folder)
    normal = read_normal(bundle, images, levels)
    record = calibrate(bundle_folder, normal.frames, rate, images, period=normal.period)
    _print(Console(), bundle, record, normal.skipped)


def calibrate(
    bundle_folder: Path,
    frames: Sequence[NamedFrame],
    rate: float | None,
    images: str,
    *,
    period: GoodPeriodRecord | None = None,
    backend: str = "onnxruntime",
) -> CalibrationRecord:
    """Set a bundle's thresholds from normal frames, exit off, and append them to its record.

    A quarter of the frames gives the pixel statistics and the range of the scores, the others the thresholds
    (`split_calibration`). Frames with the same pixels count once. Where no rate is given and 1% is not supported, a
    line on standard error says so.

    Args:
        bundle_folder: the bundle.
        frames: name and frame of normal images, as deployed: whole frames, no augmentation.
        rate: false-alarm rate in (0, 1); None: the smallest supported one from 1% up.
        images: where the frames came from, for the record.
        period: what a station recorded of them, for the record; None where they are from elsewhere.
        backend: what runs the graphs.

    Returns:
        The entry that was appended and is now in force.

    Raises:
        CalibrationError: too few frames for the rate, frames that the bundle was trained on, or no finite threshold.
        ImageError: the model cannot take a frame.
        OutputError: the bundle cannot be written.
    """
    bundle = open_bundle(bundle_folder)
    parts = _split(bundle, frames)
    _require_enough(parts, rate)
    with open_backend(backend, bundle) as opened:
        statistics, first, scored = _passes(bundle, opened, parts)
    search = conformal_threshold(_search_scores(scored), rate)
    encoder_scores = _encoder_scores(scored)
    file, digest = write_arrays(bundle_folder, "statistics", statistics.named())
    tiles_file, tiles_digest = write_arrays(
        bundle_folder, "tiles", {"tiles": tiles_to_keep(bundle, [frame for _, frame in parts.threshold])}
    )
    record = CalibrationRecord(
        created=utc_now(),
        images=images,
        rate_asked=rate,
        steps=bundle.manifest.search.steps,
        search=search,
        encoder=conformal_threshold(encoder_scores, rate) if encoder_scores else None,
        n_statistics=len(parts.statistics),
        statistics_file=file,
        statistics_sha256=digest,
        fingerprints=parts.fingerprints,
        search_range=score_range(_search_scores(first)),
        encoder_range=score_range(_encoder_scores(first)),
        tiles_file=tiles_file,
        tiles_sha256=tiles_digest,
        start_scores=_finite([frame.start_score for frame in scored]),
        encoder_scores=_finite([frame.encoder_score for frame in scored]),
        good_period=period,
    )
    append_calibration(bundle_folder, record)
    _warn_if_loose(search, rate)
    return record


def pixel_statistics(residuals: Sequence[np.ndarray]) -> PixelStatistics:
    """Return mean and deviation at each pixel over the tiles of many frames.

    Args:
        residuals: (T,h,w) float32 in [0, 1] for each frame.

    Returns:
        (h,w) float32 maps; the deviation is at least `DEVIATION_FLOOR`.
    """
    count = sum(len(maps) for maps in residuals)
    mean = sum(maps.sum(0, dtype=np.float64) for maps in residuals) / count
    variance = sum(((maps - mean) ** 2).sum(0) for maps in residuals) / count
    deviation = np.maximum(np.sqrt(variance), DEVIATION_FLOOR)
    return PixelStatistics(mean=mean.astype(np.float32), deviation=deviation.astype(np.float32))


def statistics_frames(bundle: Bundle, frames: Sequence[NamedFrame]) -> list[Frame]:
    """Return those frames that `calibrate` takes the pixel statistics from; no threshold depends on them.

    Args:
        bundle: the bundle.
        frames: the frames that `calibrate` takes.

    Raises:
        CalibrationError: as `calibrate`.
    """
    return [frame for _, frame in _split(bundle, frames).statistics]


def score_range(scores: Sequence[float]) -> ScoreRange | None:
    """Return the lowest and the highest of the scores that are finite; None without any."""
    finite = [score for score in scores if math.isfinite(score)]
    return ScoreRange(low=min(finite), high=max(finite)) if finite else None


def _passes(
    bundle: Bundle, backend: Backend, parts: _Parts
) -> tuple[PixelStatistics, list[ScoredFrame], list[ScoredFrame]]:
    """Measure the pixel statistics with neutral maps, then score all frames with the real ones.

    The statistics' frames are searched again only where a deployed score depends on the maps.
    """
    again = bundle.manifest.scores.needs_pixel_statistics
    total = len(parts.statistics) * (1 + again) + len(parts.threshold)
    neutral = neutral_statistics(bundle.manifest.image.size_hw)
    with progress_bar() as bar:
        task = bar.add_task("calibrating", total=total, detail="pixel statistics")
        first = _pass(LatentSearch(bundle, backend, statistics=neutral), parts.statistics, bar, task)
        statistics = pixel_statistics([frame.residual for frame in first])
        search = LatentSearch(bundle, backend, statistics=statistics)
        if again:
            bar.update(task, detail="range of the scores")
            first = _pass(search, parts.statistics, bar, task)
        bar.update(task, detail="threshold")
        return statistics, first, _pass(search, parts.threshold, bar, task)


def _search_scores(frames: Sequence[ScoredFrame]) -> list[float]:
    return [frame.search_score for frame in frames]


def _finite(scores: Sequence[float | None]) -> list[float] | None:
    """Return the finite ones, since JSON has no others; None where there is no encoder to give any."""
    given = [score for score in scores if score is not None]
    return [score for score in given if math.isfinite(score)] if given else None


def _encoder_scores(frames: Sequence[ScoredFrame]) -> list[float]:
    return [frame.encoder_score for frame in frames if frame.encoder_score is not None]


def _pass(search: LatentSearch, frames: list[NamedFrame], bar: Progress, task: TaskID) -> list[ScoredFrame]:
    scored = []
    for frame in score_frames(search, (frame for _, frame in frames), steps=search.bundle.manifest.search.steps):
        scored.append(frame)
        bar.advance(task)
    return scored


def different_frames(frames: Sequence[NamedFrame]) -> dict[str, NamedFrame]:
    """Return those frames whose pixels no earlier frame has, by their fingerprints."""
    found: dict[str, NamedFrame] = {}
    for name, frame in frames:
        found.setdefault(fingerprint(frame), (name, frame))
    return found


def _split(bundle: Bundle, frames: Sequence[NamedFrame]) -> _Parts:
    unique = different_frames(frames)
    trained = [name for digest, (name, _) in unique.items() if digest in set(bundle.manifest.training.fingerprints)]
    if trained:
        raise CalibrationError(
            f"the bundle was trained on {len(trained)} of the {len(frames)} images given, {sorted(trained)[0]} among "
            "them, and a threshold from them would be too low; give normal images that it has never seen"
        )
    if len(unique) < 2:
        raise CalibrationError(
            f"{len(unique)} different normal images were given; at least 2 are needed, one for the pixel statistics "
            f"and one for the threshold, and {images_needed(float(LEAST_RATE))} for a false-alarm rate of 1%"
        )
    statistics, threshold = split_calibration(list(unique.values()))
    return _Parts(statistics, threshold, list(unique))


def _require_enough(parts: _Parts, rate: float | None) -> None:
    """Refuse before the slow passes, in numbers of images rather than of threshold frames."""
    n = len(parts.threshold)
    if rate is None or n >= least_count(exact_rate(rate)):
        return
    total = images_needed(rate)
    raise CalibrationError(
        f"a false-alarm rate of {rate:.4g} needs {total} different normal images (a quarter for the pixel "
        f"statistics), {len(parts.fingerprints)} were given; give more, or ask for {float(smallest_rate(n)):.2g} or up"
    )


def images_needed(rate: float) -> int:
    """Return how many different normal images a rate needs, those for the pixel statistics included."""
    needed = least_count(exact_rate(rate))
    total = needed + 1
    while len(split_calibration(range(total))[1]) < needed:
        total += 1
    return total


def _warn_if_loose(threshold: Threshold, rate: float | None) -> None:
    if rate is None and threshold.false_alarm_rate > LEAST_RATE:
        Console(stderr=True).print(
            f"warning: {threshold.n} threshold images support a false-alarm rate of {threshold.false_alarm_rate:.1%} "
            f"at best; for 1% give {images_needed(float(LEAST_RATE))} different normal images",
            highlight=False,
            soft_wrap=True,
        )


def _print(console: Console, bundle: Bundle, record: CalibrationRecord, skipped: list[Skipped]) -> None:
    headers = ["score", "threshold", "images", "rank", "false alarms", "95% limit"]
    scaled = ["min-max scaled"] if bundle.manifest.scores.scale == "min_max" else []
    table = Table(*headers, *scaled, title=f"calibration of {bundle.folder}")
    rows = (("search", record.search, record.search_range), ("encoder", record.encoder, record.encoder_range))
    for name, threshold, scores in rows:
        if threshold is not None:
            table.add_row(
                name,
                f"{threshold.value:.5g}",
                str(threshold.n),
                str(threshold.k),
                f"{threshold.false_alarm_rate:.2%}",
                f"{threshold.upper_limit_95:.2%}",
                *(f"{min_max_scale(scores).of(threshold.value):.5g}" for _ in scaled if scores is not None),
            )
    console.print(table)
    console.print(
        f"pixel statistics from {record.n_statistics} further images; the search took {record.steps} steps",
        highlight=False,
    )
    for entry in skipped:
        console.print(f"skipped: {entry}", markup=False, highlight=False, soft_wrap=True)
