"""A bundle beside simple detectors on the same features: PCA of its size and score, PaDiM, PatchCore.

Whoever deploys a GAN in feature space pays for the backbone anyway; what these reach with it costs no training.

for baseline in feature_baselines(images, readout, bundle, Resampling(), progress): print(baseline.name)
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.progress import Progress, TaskID

from ganspect.block_pca import block_residuals, pcas_of
from ganspect.bundle import Bundle
from ganspect.errors import ImageError
from ganspect.opencv import cv2
from ganspect.pca import Integers, Pca, cross_fitted_weights, means_of_three, squared_lengths
from ganspect.preprocess import Tiles, stitch, to_tiles
from ganspect.records import Weighing
from ganspect.runtime.evaluation.bootstrap import Floats, Interval, Resampling
from ganspect.runtime.evaluation.feature_baselines import FeatureDetector, Judged, Maps, Padim, PatchCore
from ganspect.runtime.evaluation.labelled import LabelledImages
from ganspect.runtime.evaluation.passes import frames_in_batches, largest_of_frames
from ganspect.runtime.evaluation.pixels import DEVIATION_LEVELS, PixelTable
from ganspect.runtime.evaluation.readout import Readout
from ganspect.scoring import largest_mean, relative_to_level

_LARGEST_VALUES = 128_000_000
"""Of the normal maps that are kept, half a gigabyte; where there would be more, images are left out evenly."""

_PCA_IMAGES = 2048
_TIMED_IMAGES = 20


@dataclass(frozen=True)
class FeatureBaseline:
    """One detector on the bundle's features.

    Attributes:
        name: `pca_features`, `padim` or `patchcore`.
        scores: (n,) scores of the test images.
        pixel: figures `auroc` and `aupro` of its heat maps; None where there are no masks.
        size_bytes: bytes of the backbone and of what the detector stores, in float32.
        ms_an_image: median time for the backbone and the detector, one tile at a time; preprocessing left out.
        images: number of normal tiles that it was fitted on.
    """

    name: str
    scores: Floats
    pixel: Mapping[str, Interval] | None
    size_bytes: int
    ms_an_image: float
    images: int


@dataclass(frozen=True)
class FeaturePca(FeatureDetector):
    """A PCA of the maps, its residuals weighed and made a score as the bundle's `weighed_residual` is.

    Attributes:
        pca: the PCA of the normal maps.
        stride: side of the blocks whose PCA it is, as in a bundle with a map of latents; None: that of whole maps.
        weights: weights for `ganspect.pca.squared_lengths`.
        share: share of the places that the score averages.
        relative: share of the image's own level that is taken out.
    """

    name: ClassVar[str] = "pca_features"

    pca: Pca
    stride: int | None
    weights: Maps | None
    share: float
    relative: float

    @classmethod
    def fit(
        cls,
        normal: Maps,
        image_of: Integers,
        *,
        components: int,
        weighing: Weighing,
        share: float,
        relative: float = 0.0,
        stride: int | None = None,
    ) -> "FeaturePca":
        """Fit it to (N,C,h,w) maps of images (N,); weights come from images that a PCA was not fitted on."""
        pcas = pcas_of(normal, image_of, stride)
        return cls(pcas.pca(components), stride, cross_fitted_weights(pcas, components, weighing), share, relative)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of components, mean and weights."""
        return 4 * (self.pca.components.size + self.pca.mean.size + (0 if self.weights is None else self.weights.size))

    def _judge(self, maps: Maps) -> Judged:
        smooth = means_of_three(squared_lengths(self._residuals(maps), self.weights))
        squared: Maps = relative_to_level(smooth, self.relative)
        return Judged(largest_mean(squared, self.share).astype(np.float64), np.sqrt(squared))

    def _residuals(self, maps: Maps) -> Maps:
        size = len(self.pca.components)
        if self.stride is not None:
            return block_residuals(maps, self.pca, size, self.stride)
        residuals: Maps = self.pca.residuals(maps.reshape(len(maps), -1), size).reshape(maps.shape)
        return residuals


def feature_baselines(
    images: LabelledImages, readout: Readout, bundle: Bundle, resampling: Resampling, progress: Progress
) -> tuple[FeatureBaseline, ...]:
    """Fit the detectors to the normal training images and judge the test images.

    Args:
        images: test images, with the data set that they come from.
        readout: reads features out of the bundle.
        bundle: the bundle; one that sees pixels has no such baselines.
        resampling: makes the intervals of pixel metrics.
        progress: shows how far this is.
    """
    backbone = bundle.manifest.backbone
    if backbone is None:
        return ()
    total = len(images.dataset.train) + len(images.samples)
    task = progress.add_task("baselines", total=total, detail="features")
    normal, image_of = _normal_maps(images, readout, progress, task)
    if len(normal) < 2:
        return ()
    progress.update(task, detail="fitting")
    judgements = [_Judgement(detector, images) for detector in _fitted(normal, image_of, bundle)]
    progress.update(task, detail=", ".join(judgement.detector.name for judgement in judgements))
    first = 0
    for tiles, lengths in frames_in_batches(images, range(len(images.samples))):
        x = readout.represent(tiles)
        for judgement in judgements:
            judgement.add(x, lengths, first)
        first += len(lengths)
        progress.advance(task, len(lengths))
    return tuple(
        FeatureBaseline(
            name=judgement.detector.name,
            scores=np.concatenate(judgement.scores),
            pixel=judgement.pixel(resampling),
            size_bytes=judgement.detector.size_bytes + backbone.size_bytes,
            ms_an_image=_ms_an_image(judgement.detector, images, readout),
            images=len(normal),
        )
        for judgement in judgements
    )


def _fitted(normal: Maps, image_of: Integers, bundle: Bundle) -> tuple[FeatureDetector, ...]:
    scores = bundle.manifest.scores
    every = -(-len(normal) // _PCA_IMAGES)
    size = sum((bundle.folder / name).stat().st_size for name in bundle.manifest.sha256 if name.endswith(".bin"))
    return (
        FeaturePca.fit(
            normal[::every],
            image_of[::every],
            components=bundle.manifest.recipe["network"]["latent_size"],  # a latent has a dimension even without any
            weighing=scores.weighing or "plain",
            share=scores.share,
            relative=scores.relative,
            stride=_stride(bundle),
        ),
        Padim.fit(normal),
        PatchCore.fit(normal, size_bytes=size),
    )


def _stride(bundle: Bundle) -> int | None:
    network = bundle.manifest.recipe["network"]
    return None if bundle.manifest.latent.grid_hw is None else int(network["latent_stride"])


class _Judgement:
    """What a detector says of the test images, gathered batch by batch.

    Attributes:
        detector: fitted.
        scores: scores of the images so far, batch by batch.
    """

    def __init__(self, detector: FeatureDetector, images: LabelledImages) -> None:
        self.detector, self.scores = detector, list[Floats]()
        self._images, self._table, self._labels = images, PixelTable(DEVIATION_LEVELS), list[int]()

    def add(self, x: Maps, lengths: list[int], first: int) -> None:
        """Judge the tiles of some images, `first` the first of them."""
        judged = self.detector.judge(x)
        self.scores.append(largest_of_frames(judged.scores, lengths))
        for offset, distances in enumerate(np.split(judged.distances, np.cumsum(lengths)[:-1])):
            self._add_pixels(first + offset, distances)

    def pixel(self, resampling: Resampling) -> Mapping[str, Interval] | None:
        """Return the pixel metrics; None where no anomalous image has a mask."""
        if not any(self._labels):
            return None
        return self._table.metrics(np.array(self._labels), resampling)

    def _add_pixels(self, index: int, distances: Maps) -> None:
        sample = self._images.samples[index]
        read_mask = sample.read_mask if sample.label == 1 else None
        if sample.label == 0 or read_mask is not None:
            self._table.add(heat_map(distances, self._images.tiles(index)), read_mask and read_mask())
            self._labels.append(sample.label)


def _normal_maps(images: LabelledImages, readout: Readout, progress: Progress, task: TaskID) -> tuple[Maps, Integers]:
    """Return (N,C,h,w) maps of the tiles of normal training images, and which image each is of, (N,).

    Where all would not fit into memory, every second, third … image is taken, by what the first one needs.
    """
    samples = images.dataset.train
    maps: list[Maps] = []
    every = 1
    for index, sample in enumerate(samples):
        progress.advance(task)
        if index % every:
            continue
        try:
            maps.append(readout.represent(to_tiles(sample.read(), images.grid).images))
        except ImageError:
            continue
        every = max(every, -(-maps[0].size * len(samples) // _LARGEST_VALUES))
    if not maps:
        return np.zeros((0, 1, 1, 1), np.float32), np.zeros(0, np.int64)
    return np.concatenate(maps), np.repeat(np.arange(len(maps)), [len(of_image) for of_image in maps])


def heat_map(distances: Maps, tiles: Tiles) -> Maps:
    """Return distances (T,h,w) of a frame's tiles as a smooth map of the frame's size, (H,W)."""
    height, width = tiles.images.shape[1:3]
    places = distances.shape[1:]
    blur = (0.5 * width / places[1], 0.5 * height / places[0])
    enlarged = [cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR) for part in distances]
    smooth = [cv2.GaussianBlur(part, (0, 0), *blur, borderType=cv2.BORDER_REPLICATE) for part in enlarged]
    return stitch(np.stack(smooth).astype(np.float32), tiles)


def _ms_an_image(detector: FeatureDetector, images: LabelledImages, readout: Readout) -> float:
    taken = []
    for index in range(min(_TIMED_IMAGES, len(images.samples))):
        tile = images.tiles(index).images[:1]
        begin_ns = time.perf_counter_ns()
        detector.judge(readout.represent(tile))
        taken.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return float(np.median(taken))
