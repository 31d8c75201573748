"""What a run's recipe leaves open, chosen by defects that are drawn on normal images: no label of a test set has a say.

The candidates are PCAs of several sizes, of whole maps or of their blocks (`network.latent`), ways to weigh their
residuals, shares of the places that a score averages, and of the image's own level that is taken out. Images are put in
folds; each is judged, with a defect drawn on it and without, by a PCA of the others and by weights from the residuals
of the other folds (which come from PCAs that have seen it: a leak of second order). The best AUROC of drawn against
normal images wins; as the best of many it is no estimate of what to expect. A GAN in feature space, or with a linear
path, starts from that PCA, so the choice serves it too.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ganspect.block_pca import pcas_of
from ganspect.config import ChoiceSettings, LatentKind, Recipe
from ganspect.datasets.drawn import KINDS, Kind
from ganspect.pca import (
    FOLDS,
    FoldOfPcas,
    Integers,
    Maps,
    Pcas,
    Scatter,
    means_of_three,
    squared_lengths,
    weights_of,
)
from ganspect.progress import print_warning, progress_bar
from ganspect.records import ChoiceRecord, Weighing
from ganspect.scoring import auroc, largest_mean, relative_to_level
from ganspect.train.batches import Batches
from ganspect.train.discriminator import PlaceDiscriminator
from ganspect.train.distance import Distance
from ganspect.train.drawing import Represent, draw_on
from ganspect.train.latents import LatentLayout
from ganspect.train.near_misses import DRAWN_AT_MOST, fit_discriminator, near_misses_of, scores_of
from ganspect.train.pca_path import PcaPath
from ganspect.train.system import TrainingImages

VIEWS_AT_MOST = 1024
_COMPONENTS_AT_MOST = 2048
_JUDGED_FOLDS = 2
_HALVES: tuple[tuple[Kind, ...], ...] = (("spot", "missing", "shade"), ("scratch", "displaced", "blur"))
"""Kinds of drawn defects that a discriminator on trial learns from in turn."""

_LEAST_DRAWN = 64


def choose(recipe: Recipe, images: Batches, views: TrainingImages, represent: Represent) -> ChoiceRecord:
    """Choose for a recipe with a `choice`: latent, size, weighing, shares, and whether a discriminator is kept.

    Args:
        recipe: asks for the choice.
        images: normal training images.
        views: the same images as x.
        represent: turns images in [-1, 1] into x.
    """
    settings = recipe.choice or ChoiceSettings()
    maps, index = views.views(VIEWS_AT_MOST)
    groups = views.image_of(index).numpy()
    originals = len(set(index.tolist()))
    source = np.arange(_drawn_on(min(settings.images, originals)))  # of each defect, the original it is drawn on
    source %= min(settings.images, originals)
    drawn, _ = draw_on(images, index[source], represent, recipe.seed)
    kinds = settings.latents or (recipe.network.latent,)
    sizes = {kind: _sizes(settings, recipe, _largest(kind, maps.shape[1], recipe, originals)) for kind in kinds}
    table: list[dict[str, Any]] = []
    pcas: dict[LatentKind, Pcas] = {}
    with progress_bar() as bar:
        task = bar.add_task("choosing", total=sum(map(len, sizes.values())), detail="by drawn defects")
        for kind in kinds:
            stride = recipe.network.latent_stride if kind == "map" else None
            pcas[kind] = pcas_of(maps.numpy(), groups, stride)
            trial = _Trial(pcas[kind], originals, drawn.numpy(), source)
            for size in sizes[kind]:
                # The mean alone is no map of latents; where vectors are tried too, it is theirs.
                if size or kind == "vector" or "vector" not in kinds:
                    for found in _judged(trial, size, settings):
                        table.append({"latent": kind, "latent_size": size, **found})
                bar.advance(task)
    best = max(table, key=lambda row: row["auroc"])
    keys = {name: f"score.{name}" for name in ("weighing", "share", "relative")}
    keys = {"latent_size": "network.latent_size", **keys}
    if settings.latents:
        keys["latent"] = "network.latent"
    chosen = [f"{key}={best[name]}" for name, key in keys.items()]
    tried = None
    if recipe.discriminator is not None:
        tried = try_discriminator(_with_chosen(recipe, best), pcas[best["latent"]], maps.numpy(), groups, views)
        if tried is None or not tried["auroc"] > tried["auroc_without"]:
            chosen.append("discriminator=null")
    return ChoiceRecord(
        settings=chosen,
        auroc=best["auroc"],
        images=originals,
        drawn=len(drawn),
        candidates=table,
        discriminator=tried,
    )


def _with_chosen(recipe: Recipe, best: dict[str, Any]) -> Recipe:
    network = recipe.network.model_copy(update={name: best[name] for name in ("latent", "latent_size")})
    score = recipe.score.model_copy(update={name: best[name] for name in ("weighing", "share", "relative")})
    return recipe.model_copy(update={"network": network, "score": score})


def try_discriminator(
    recipe: Recipe, pcas: Pcas, maps: Maps, groups: Integers, views: TrainingImages
) -> dict[str, float] | None:
    """Return the AUROC with a discriminator and without, of drawn defects of kinds that it was not trained on.

    It is trained on three fifths of the images and three kinds, and judges the others of both; then the kinds change
    sides. None where there are too few images for that.

    Args:
        recipe: the recipe with what was chosen, and a discriminator.
        pcas: PCAs of the maps.
        maps: (n,C,h,w) float32 of x.
        groups: (n,) the image that each is of.
        views: the same images.
    """
    settings, size = recipe.discriminator, recipe.network.latent_size
    if settings is None:
        raise ValueError("the recipe has no discriminator to try")
    distance, path = Distance(recipe), PcaPath(LatentLayout.of(recipe))
    deviations = path.set(pcas.pca(size))
    images = np.unique(groups)
    drawn = views.drawn(len(images), DRAWN_AT_MOST)
    weighing = recipe.score.weighing or "plain"
    near = near_misses_of(distance, weighing, pcas, size, maps, groups, drawn, path.decode, deviations)
    judged = images[np.arange(len(images)) % FOLDS < _JUDGED_FOLDS]
    training, judging = near.of_images(np.setdiff1d(images, judged)), near.of_images(judged)
    discriminator = PlaceDiscriminator(maps.shape[1], settings.width)
    figures: dict[str, list[float]] = {"auroc": [], "auroc_without": []}
    for kinds in _HALVES:
        learnt, unknown = training.of_kinds(kinds), judging.of_kinds(set(KINDS) - set(kinds))
        if not learnt.drawn_kinds or not unknown.drawn_kinds:
            print_warning("the images are too few to try a discriminator of places on some of them; it was left out")
            return None
        fit_discriminator(discriminator, learnt, settings, recipe.seed)
        for name, tried in (("auroc", discriminator), ("auroc_without", None)):
            both = (scores_of(terms, tried, recipe.score.share) for terms in (unknown.terms, unknown.drawn))
            figures[name].append(auroc(*both))
    return {name: sum(values) / len(values) for name, values in figures.items()}


def _judged(trial: "_Trial", size: int, settings: ChoiceSettings) -> Iterator[dict[str, Any]]:
    """Yield what each weighing and share makes of a PCA of some size."""
    for weighing, *both in trial.distances(size, settings.weighings):
        for relative, share in product(settings.relatives, settings.shares):
            normal, defective = (largest_mean(relative_to_level(distances, relative), share) for distances in both)
            yield {"weighing": weighing, "share": share, "relative": relative, "auroc": auroc(normal, defective)}


class _Trial:
    """Normal and drawn images, judged by what is fitted to other images."""

    def __init__(self, pcas: Pcas, originals: int, drawn: Maps, source: Integers) -> None:
        """Take the images.

        Args:
            pcas: PCAs of views, the images as they are first.
            originals: number of images as they are.
            drawn: (m,C,h,w) images with a defect drawn on each.
            source: (m,) number of the image that each defect is drawn on.
        """
        self._pcas, self._originals, self._source = pcas, originals, source
        self._drawn = pcas.others(drawn)
        self._folds: list[FoldOfPcas] | None = None

    def distances(self, size: int, weighings: tuple[Weighing, ...]) -> Iterator[tuple[Weighing, Maps, Maps]]:
        """Yield, for each way to weigh, smoothed distances (N,h,w) of normal images and (m,h,w) of drawn ones."""
        if self._folds is None:
            self._folds = list(self._pcas.folds(_COMPONENTS_AT_MOST))
        scatters = [self._scatter(fold, size) for fold in self._folds]
        total = Scatter.sum(scatters)
        found: dict[Weighing, tuple[list[Maps], list[Maps]]] = {weighing: ([], []) for weighing in weighings}
        for fold, own in zip(self._folds, scatters, strict=True):
            normal, defective = self._residuals(fold, size)
            for weighing, (of_normal, of_drawn) in found.items():
                others = total - own if len(scatters) > 1 else total
                weights = weights_of(others, weighing, self._pcas.variance)
                of_normal.append(means_of_three(squared_lengths(normal, weights)))
                of_drawn.append(means_of_three(squared_lengths(defective, weights)))
        for weighing, (of_normal, of_drawn) in found.items():
            yield weighing, np.concatenate(of_normal), np.concatenate(of_drawn)

    def _scatter(self, fold: FoldOfPcas, size: int) -> Scatter:
        return Scatter.of(fold.residuals(fold.left_out, size))

    def _residuals(self, fold: FoldOfPcas, size: int) -> tuple[Maps, Maps]:
        own = fold.left_out[fold.left_out < self._originals]
        drawn = np.flatnonzero(np.isin(self._source, own))
        return fold.residuals(own, size), fold.residuals_of(self._drawn, drawn, size)


def _largest(kind: LatentKind, channels: int, recipe: Recipe, images: int) -> int:
    """Return how many components a PCA can have: of whole maps by the images of a fold, of blocks by their values."""
    if kind == "map":
        return int(channels * recipe.network.latent_stride**2)
    return max(1, images - -(-images // FOLDS) - 1)


def _sizes(settings: ChoiceSettings, recipe: Recipe, most: int) -> list[int]:
    """Return the candidates that are at most so large, and that the recipe's system takes."""
    least = recipe.network.least_latent_size()
    asked = settings.latent_sizes or (recipe.network.latent_size,)
    possible = sorted({size for size in asked if least <= size <= most})
    if possible:
        return possible
    size = max(least, min(min(asked), most))
    print_warning(
        f"none of the latent sizes {', '.join(map(str, asked))} is possible with so few images or such small blocks; "
        f"{size} was taken: give more images, or smaller sizes in choice.latent_sizes"
    )
    return [size]


def _drawn_on(images: int) -> int:
    """Return how many defects are drawn on so many images: one on each, and more where there are few."""
    return images * max(1, -(-_LEAST_DRAWN // images))
