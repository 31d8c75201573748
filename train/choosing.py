"""What a run's recipe leaves open, chosen by defects that are drawn on normal images: no label of a test set has a say.

The candidates are PCAs of several sizes, of whole maps or of their blocks (`network.latent`), ways to weigh their
residuals, shares of the places that a score averages, and of the image's own level that is taken out. Images are put in
folds; each is judged, with a defect drawn on it and without, by a PCA of the others and by weights from the residuals
of the other folds (which come from PCAs that have seen it: a leak of second order). The best AUROC of drawn against
normal images wins; as the best of many it is no estimate of what to expect. A GAN in feature space, or with a linear
path, starts from that PCA, so the choice serves it too.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import torch
from annotated_types import Ge
from pydantic.fields import FieldInfo
from torch import Tensor

from ganspect.block_pca import pcas_of
from ganspect.config import ChoiceSettings, LatentKind, Recipe
from ganspect.datasets.drawn import draw_defect
from ganspect.pca import FoldOfPcas, Integers, Maps, Pcas, Scatter, means_of_three, squared_lengths, weights_of
from ganspect.progress import print_warning, progress_bar
from ganspect.records import ChoiceRecord, Weighing
from ganspect.scoring import auroc, largest_mean, relative_to_level, to_unit_range
from ganspect.train.batches import Batches
from ganspect.train.system import TrainingImages

Represent: TypeAlias = Callable[[Tensor], Tensor]

_VIEWS_AT_MOST = 1024
_COMPONENTS_AT_MOST = 2048
_IMAGES_AT_ONCE = 16
_LEAST_DRAWN = 64


def choose(recipe: Recipe, images: Batches, views: TrainingImages, represent: Represent) -> ChoiceRecord:
    """Choose size, weighing and share for a recipe with a `choice`.

    Args:
        recipe: asks for the choice.
        images: normal training images.
        views: the same images as x.
        represent: turns images in [-1, 1] into x.
    """
    settings = recipe.choice or ChoiceSettings()
    maps, index = views.views(_VIEWS_AT_MOST)
    groups = views.image_of(index).numpy()
    originals = len(set(index.tolist()))
    source = np.arange(_drawn_on(min(settings.images, originals)))  # of each defect, the original it is drawn on
    source %= min(settings.images, originals)
    drawn = _draw(images, index[source], recipe.seed, represent)
    kinds = settings.latents or (recipe.network.latent,)
    sizes = {kind: _sizes(settings, recipe, _largest(kind, maps.shape[1], recipe, originals)) for kind in kinds}
    table: list[dict[str, Any]] = []
    with progress_bar() as bar:
        task = bar.add_task("choosing", total=sum(map(len, sizes.values())), detail="by drawn defects")
        for kind in kinds:
            stride = recipe.network.latent_stride if kind == "map" else None
            trial = _Trial(pcas_of(maps.numpy(), groups, stride), originals, drawn.numpy(), source)
            for size in sizes[kind]:
                # The mean alone is no map of latents; where vectors are tried too, it is theirs.
                if size or kind == kinds[0]:
                    for found in _judged(trial, size, settings):
                        table.append({"latent": kind, "latent_size": size, **found})
                bar.advance(task)
    best = max(table, key=lambda row: row["auroc"])
    keys = {name: f"score.{name}" for name in ("weighing", "share", "relative")}
    keys = {"latent_size": "network.latent_size", **keys}
    if settings.latents:
        keys["latent"] = "network.latent"
    return ChoiceRecord(
        settings=[f"{key}={best[name]}" for name, key in keys.items()],
        auroc=best["auroc"],
        images=originals,
        drawn=len(drawn),
        candidates=table,
    )


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
    return max(1, images - -(-images // 5) - 1)


def _sizes(settings: ChoiceSettings, recipe: Recipe, most: int) -> list[int]:
    """Return the candidates that are at most so large, and that the recipe's system takes."""
    least = _least(type(recipe.network).model_fields["latent_size"])
    asked = settings.latent_sizes or (recipe.network.latent_size,)
    possible = sorted({size for size in asked if least <= size <= most})
    if possible:
        return possible
    size = max(least, min(min(asked), most))
    print_warning(
        f"none of the latent sizes {', '.join(map(str, asked))} can be had of so few images or so small blocks; {size} "
        "was taken: give more images, or smaller sizes in choice.latent_sizes"
    )
    return [size]


def _least(field: FieldInfo) -> int:
    """Return the smallest value that a setting may have."""
    return next(int(str(limit.ge)) for limit in field.metadata if isinstance(limit, Ge))


def _drawn_on(images: int) -> int:
    """Return how many defects are drawn on so many images: one on each, and more where there are few."""
    return images * max(1, -(-_LEAST_DRAWN // images))


@torch.no_grad()
def _draw(images: Batches, index: Tensor, seed: int, represent: Represent) -> Tensor:
    """Return x of images with a defect drawn on each, (m,C,h,w)."""
    random = np.random.default_rng(seed)
    found = []
    for part in torch.split(index, _IMAGES_AT_ONCE):
        plain = ((images.copy(part, 0) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        drawn = np.stack([draw_defect(image, random).image for image in plain])
        unit: Tensor = to_unit_range(torch.from_numpy(drawn).permute(0, 3, 1, 2).float())
        found.append(represent(unit))
    return torch.cat(found)
