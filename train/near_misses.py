"""Near misses: what a discriminator of places is trained to tell from normal maps, and its training.

| negative | what it is |
|---|---|
| `drawn` | a defect drawn on a normal image (`ganspect.datasets.drawn`), as the backbone sees it |
| `noise` | Gaussian noise on a blob of places (SimpleNet, Liu et al. 2023) |
| `pasted` | a blob of places from elsewhere in another normal map (CutPaste, Li et al. 2021) |
| `generated` | a blob of places of a generated map, its latent from outside the prior (ALGAN, Murase & Fukumizu 2022) |
| `ascent` | noise on a blob that some gradient steps make the discriminator's hardest (GLASS, Chen et al. 2024) |

Only what the generator leaves of them counts; what is pasted, added or generated is taken to be left whole. Residuals
of normal maps come from PCAs that those maps were not fitted to, or near misses would be told by their size alone.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganspect.config import DiscriminatorSettings, Negative
from ganspect.datasets.drawn import Kind
from ganspect.pca import Integers, Maps, Pcas, Rows, Scatter, weights_of
from ganspect.records import Weighing
from ganspect.scoring import largest_mean
from ganspect.train.discriminator import PlaceDiscriminator, Terms
from ganspect.train.distance import Distance
from ganspect.train.drawing import DrawnMaps
from ganspect.train.seeds import random_for, seeded

_LARGEST_SHARE = 0.01
_BETAS, _WEIGHT_DECAY = (0.5, 0.99), 0.01
_MAPS_AT_ONCE = 32
_KEPT = 5
"""Every fifth image is kept, to standardise the discriminator's map on what it was not trained on."""

DRAWN_AT_MOST = 400
"""Drawn defects that a discriminator is trained on: the backbone sees each once."""

_OUTSIDE = 2.0
"""Deviation of generated maps' latents, in deviations of the prior."""

_ASCENT_STEPS, _ASCENT_RATE = 3, 0.25
_ASCENT_LENGTHS = (0.5, 1.5)
"""Lengths of the noise at a place that ascent keeps to, in those of a normal weighed residual: the root of C."""


@dataclass(frozen=True)
class NearMisses:
    """Normal maps with their residuals, and what makes near misses of them.

    Attributes:
        distance: weighs residuals.
        x: (n,C,h,w) float16 normal maps.
        residuals: (n,C,h,w) float16, what PCAs that were not fitted to them leave of these.
        terms: their terms, in half precision.
        images: (n,) the image that each is of.
        drawn: terms of (m,C,h,w) maps with a drawn defect, in half precision.
        drawn_images: (m,) the image that each is of.
        drawn_kinds: (m,) what was drawn.
        generate: returns maps (count,C,h,w) of latents from outside the prior.
    """

    distance: Distance
    x: Tensor
    residuals: Tensor
    terms: Terms
    images: Integers
    drawn: Terms
    drawn_images: Integers
    drawn_kinds: Sequence[Kind]
    generate: Callable[[int, torch.Generator], Tensor]

    def of_images(self, images: Integers) -> "NearMisses":
        """Return those of some images only."""
        normal = np.flatnonzero(np.isin(self.images, images))
        drawn = self._with_drawn(np.flatnonzero(np.isin(self.drawn_images, images)))
        return replace(
            drawn,
            x=self.x[normal],
            residuals=self.residuals[normal],
            terms=_some(self.terms, normal),
            images=self.images[normal],
        )

    def of_kinds(self, kinds: Collection[Kind]) -> "NearMisses":
        """Return those with some kinds of drawn defects only."""
        return self._with_drawn(np.array([i for i, kind in enumerate(self.drawn_kinds) if kind in kinds], np.int64))

    def _with_drawn(self, index: Integers) -> "NearMisses":
        return replace(
            self,
            drawn=_some(self.drawn, index),
            drawn_images=self.drawn_images[index],
            drawn_kinds=[self.drawn_kinds[i] for i in index.tolist()],
        )

    def draw(self, count: int, random: torch.Generator) -> Terms:
        """Return the terms of some normal maps."""
        return self.terms.of(torch.randint(len(self.residuals), (count,), generator=random))

    def draw_negatives(
        self, negative: Negative, count: int, random: torch.Generator, discriminator: PlaceDiscriminator
    ) -> Terms:
        """Return the terms of some near misses of one sort."""
        if negative == "drawn":
            return self.drawn.of(torch.randint(len(self.drawn_images), (count,), generator=random))
        index = torch.randint(len(self.residuals), (count,), generator=random)
        residuals = self.residuals[index].float()
        blobs = _blobs(count, (residuals.shape[2], residuals.shape[3]), random)[:, None]
        if negative == "ascent":
            return self._ascended(self.terms.of(index), blobs, random, discriminator)
        if negative == "noise":
            strength = torch.exp(torch.empty(count, 1, 1, 1).uniform_(math.log(0.3), math.log(2.0), generator=random))
            return self.distance.terms(residuals + blobs * strength * torch.randn(residuals.shape, generator=random))
        if negative == "generated":
            others = self.generate(count, random)
        else:
            others = self.x[torch.randint(len(self.x), (count,), generator=random)].float()
            shifts = [int(torch.randint(side, (), generator=random)) for side in others.shape[2:]]
            others = others.roll(shifts, (2, 3))
        return self.distance.terms(residuals + blobs * (others - self.x[index].float()))

    def _ascended(
        self, terms: Terms, blobs: Tensor, random: torch.Generator, discriminator: PlaceDiscriminator
    ) -> Terms:
        """Return normal terms whose weighed residuals go up the discriminator's loss on a blob, within two lengths."""
        weighed = torch.sinh(terms.squashed)
        usual = math.sqrt(weighed.shape[1])
        noise = 0.5 * torch.randn(weighed.shape, generator=random) * blobs
        for _ in range(_ASCENT_STEPS):
            noise.requires_grad_(True)
            logits = discriminator.logits(self.distance.terms_of(weighed + noise, terms.level))
            (gradient,) = torch.autograd.grad((functional.softplus(-logits) * blobs[:, 0]).sum(), noise)
            length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True).clamp(min=1e-8)
            noise = noise.detach() + _ASCENT_RATE * usual * gradient * blobs / length
        length = torch.linalg.vector_norm(noise, dim=1, keepdim=True).clamp(min=1e-6)
        shortest, longest = (usual * one for one in _ASCENT_LENGTHS)
        noise = noise * (length.clamp(shortest, longest) / length) * blobs
        return self.distance.terms_of(weighed + noise, terms.level)


def near_misses_of(
    distance: Distance,
    weighing: Weighing,
    pcas: Pcas,
    size: int,
    maps: Maps,
    groups: Integers,
    drawn: DrawnMaps,
    generate: Callable[[Tensor], Tensor],
    latent_deviation: Tensor,
) -> NearMisses:
    """Return the near misses of normal maps, and set the weights of the distance, which the same residuals give.

    Args:
        distance: its weights are set.
        weighing: the recipe's way to weigh residuals.
        pcas: PCAs of the maps.
        size: number of components.
        maps: (n,C,h,w) float32 normal maps.
        groups: (n,) the image that each is of.
        drawn: some of the same images with defects.
        generate: the generator, (N,D) latents to (N,C,h,w) maps.
        latent_deviation: (D,) of the prior.

    Raises:
        ValueError: a defect is drawn on an image that is not among the maps.
    """
    if not np.isin(drawn.image, groups).all():
        raise ValueError("defects are drawn on images that are not among the maps; draw them on those of the maps")
    others = pcas.others(drawn.x.numpy())
    residuals, of_drawn = np.empty(maps.shape, np.float16), np.empty(drawn.x.shape, np.float16)
    scatters = []
    for fold in pcas.folds(size):
        left = fold.residuals(fold.left_out, size)
        residuals[fold.left_out] = left
        scatters.append(Scatter.of(left))
        index = np.flatnonzero(np.isin(drawn.image, groups[fold.left_out]))
        if len(index):
            of_drawn[index] = fold.residuals_of(others, index, size)
    distance.set(weights_of(Scatter.sum(scatters), weighing, pcas.variance))

    def outside(count: int, random: torch.Generator) -> Tensor:
        latents = torch.randn((count, len(latent_deviation)), generator=random) * latent_deviation * _OUTSIDE
        with torch.no_grad():
            return generate(latents)

    return NearMisses(
        distance=distance,
        x=torch.from_numpy(maps.astype(np.float16)),
        residuals=torch.from_numpy(residuals),
        terms=_terms_of(distance, torch.from_numpy(residuals)),
        images=groups,
        drawn=_terms_of(distance, torch.from_numpy(of_drawn)),
        drawn_images=drawn.image,
        drawn_kinds=drawn.kinds,
        generate=outside,
    )


@torch.no_grad()
def _terms_of(distance: Distance, residuals: Tensor) -> Terms:
    """Return the terms of residuals in half precision, but for the level, which is one number an image."""
    squashed = torch.empty_like(residuals)
    others = []
    for first in range(0, len(residuals), _MAPS_AT_ONCE):
        terms = distance.terms(residuals[first : first + _MAPS_AT_ONCE].float())
        squashed[first : first + _MAPS_AT_ONCE] = terms.squashed.half()
        others.append((terms.log_distance, terms.level))
    log_distances, levels = zip(*others, strict=True)
    return Terms(squashed, torch.cat(log_distances), torch.cat(levels))


def _some(terms: Terms, index: Integers) -> Terms:
    return Terms(*(values[torch.from_numpy(index)] for values in terms))


@torch.no_grad()
def scores_of(terms: Terms, discriminator: PlaceDiscriminator | None, share: float) -> Rows:
    """Return the weighed residual of maps by their terms, corrected where there is a discriminator, (N,)."""
    parts = [terms.of(part) for part in torch.split(torch.arange(len(terms.level)), _MAPS_AT_ONCE)]
    logs = torch.cat([part.log_distance if discriminator is None else discriminator(part) for part in parts])
    return np.asarray(largest_mean(logs.exp(), share).numpy())


def fit_discriminator(
    discriminator: PlaceDiscriminator, near_misses: NearMisses, settings: DiscriminatorSettings, seed: int
) -> None:
    """Train a discriminator against near misses, and standardise its map on normal maps that it was not trained on.

    Args:
        discriminator: its weights are drawn again.
        near_misses: near misses of normal images.
        settings: the recipe's section.
        seed: the recipe's seed.
    """
    images = np.unique(near_misses.images)
    kept = images[::_KEPT]
    training = near_misses.of_images(np.setdiff1d(images, kept) if len(images) > 1 else images)
    _measure(discriminator, training)
    with seeded(seed, "discriminator", "made"):
        fresh = PlaceDiscriminator(near_misses.x.shape[1], discriminator.last.in_channels)
    discriminator.load_state_dict(fresh.state_dict() | dict(discriminator.named_buffers()))
    discriminator.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(
        discriminator.parameters(), settings.learning_rate, _BETAS, weight_decay=_WEIGHT_DECAY
    )
    warming_up = min(0.9, max(0.1, 2 / settings.steps))  # of one step or less, PyTorch would divide by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=warming_up
    )
    for step in range(settings.steps):
        random = random_for(seed, "discriminator", step)
        terms = training.draw(settings.batch_size, random)
        for number, negative in enumerate(settings.negatives):
            count = len(range(number, settings.batch_size, len(settings.negatives)))
            terms = terms.both(training.draw_negatives(negative, count, random, discriminator))
        largest = largest_mean(discriminator.logits(terms), _LARGEST_SHARE)
        normal, missed = largest[: settings.batch_size], largest[settings.batch_size :]
        loss = functional.softplus(normal[None] - missed[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    discriminator.requires_grad_(False).eval()
    _standardise(discriminator, near_misses.of_images(kept))


@torch.no_grad()
def _measure(discriminator: PlaceDiscriminator, normal: NearMisses) -> None:
    """Set mean and deviation of log distances and levels over normal maps."""
    for kept, values in (
        (discriminator.distance, normal.terms.log_distance),
        (discriminator.level, normal.terms.level),
    ):
        kept.copy_(torch.stack([values.mean(), values.std(correction=0).clamp(min=1e-3)]))


@torch.no_grad()
def _standardise(discriminator: PlaceDiscriminator, normal: NearMisses) -> None:
    """Set mean and deviation of the discriminator's map over normal maps."""
    parts = torch.split(torch.arange(len(normal.residuals)), _MAPS_AT_ONCE)
    logits = torch.cat([discriminator.logits(normal.terms.of(part)) for part in parts])
    discriminator.own.copy_(torch.stack([logits.mean(), logits.std(correction=0).clamp(min=1e-3)]))


def _blobs(count: int, size_hw: tuple[int, int], random: torch.Generator) -> Tensor:
    """Return (count,h,w) masks in [0, 1]: ellipses of random place, size, shape and angle, one place or more."""
    height, width = size_hw
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=random))[:, None, None]

    radius = torch.exp(uniform(math.log(0.8), math.log(max(0.9, 0.28 * min(size_hw)))))
    slim = (radius * torch.exp(uniform(math.log(0.15), 0.0))).clamp(min=0.6)
    angle = uniform(0, math.pi)
    y, x = rows - uniform(-0.5, height - 0.5), columns - uniform(-0.5, width - 0.5)
    along, across = torch.cos(angle) * x + torch.sin(angle) * y, torch.cos(angle) * y - torch.sin(angle) * x
    depth = (1 - torch.sqrt((along / radius) ** 2 + (across / slim) ** 2)) * slim + 0.5
    return depth.clamp(0, 1)
