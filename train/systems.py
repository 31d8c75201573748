"""The systems by the name that recipes write; a new one is added here."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganspect.block_pca import require_small_blocks
from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.scoring import SCORES, find_score, number_of_largest, terms_of
from ganspect.sections import nearest, parse
from ganspect.train.anogan import Anogan
from ganspect.train.egbad import Egbad
from ganspect.train.fanogan import Fanogan
from ganspect.train.ganomaly import Ganomaly
from ganspect.train.latents import LatentLayout
from ganspect.train.linear import Linear
from ganspect.train.representation import map_shape
from ganspect.train.system import System

_LARGEST_TOP = 3840
"""Of TensorRT's top-k; trimming takes one more than the places that it leaves out, to know where to cut."""

SYSTEMS: Mapping[str, type[System]] = {system.name: system for system in (Anogan, Fanogan, Egbad, Ganomaly, Linear)}


def find_system(name: object, origin: str) -> type[System]:
    """Return the system of that name.

    Raises:
        ConfigError: there is none; says which comes nearest.
    """
    if not isinstance(name, str) or name not in SYSTEMS:
        raise ConfigError(f"{origin}: there is no system {name!r}; {nearest(str(name), list(SYSTEMS))}")
    return SYSTEMS[name]


def parse_recipe(content: dict[str, Any], path: Path, system_type: type[System] | None = None) -> Recipe:
    """Check settings against the recipe of the system that they name.

    Args:
        content: settings read from YAML.
        path: the file's path, for messages.
        system_type: a system that is not in `SYSTEMS`.

    Raises:
        ConfigError: unknown system, the first key that is unknown or impossible, or a score that needs what the system
            does not have.
    """
    system_type = system_type or find_system(content.get("system"), str(path))
    recipe = parse(content, system_type.recipe_type, origin=str(path))
    for key, score in (("search", recipe.score.search), ("encoder", recipe.score.encoder)):
        if score != "paper" and not system_type.can_score(score, recipe):
            can = ", ".join(name for name in SCORES if system_type.can_score(name, recipe))
            raise ConfigError(
                f"{path}: score.{key} is {score!r}, which {system_type.name} cannot compute; choose one of {can}"
            )
    _require_encoder_of_sums(recipe, system_type, path)
    _require_a_latent(recipe, path)
    _require_views(recipe, system_type, path)
    for section in ("choice", "discriminator"):
        _require_a_use(section, recipe, system_type, path)
    _require_possible_latents(recipe, system_type)
    _require_few_enough_to_trim(recipe, path)
    if recipe.mode == "encoder" and not system_type.has_encoder(recipe):
        raise ConfigError(
            f"{path}: mode is 'encoder', but {system_type.name} is trained without one by this recipe; set it to search"
        )
    if recipe.score.encoder == "paper" and not system_type.can_score(system_type.paper_score, recipe):
        raise ConfigError(
            f"{path}: score.encoder is 'paper', in {system_type.name} {system_type.paper_score}, which this recipe "
            "cannot compute; name another score"
        )
    return recipe


def _require_encoder_of_sums(recipe: Recipe, system_type: type[System], path: Path) -> None:
    if len(terms_of(recipe.score.search)) > 1 and not system_type.has_encoder(recipe):
        raise ConfigError(
            f"{path}: score.search is {recipe.score.search!r}, but {system_type.name} is trained without an encoder by "
            "this recipe, at whose latents the terms of a sum are measured; train one, or choose one score"
        )


def _require_a_latent(recipe: Recipe, path: Path) -> None:
    of_latent = [
        name
        for name in (recipe.score.search, recipe.score.encoder)
        if name != "paper" and "latent" in find_score(name).needs
    ]
    offered = "network.latent_size is 0" if recipe.network.latent_size == 0 else ""
    if recipe.choice and recipe.network.least_latent_size() == 0 and 0 in recipe.choice.latent_sizes:
        offered = "choice.latent_sizes has 0"
    if of_latent and offered:
        raise ConfigError(
            f"{path}: {offered}, the mean without any latent, but the score {of_latent[0]} is about the latent; leave "
            "the 0 out, or choose another score"
        )


def _require_views(recipe: Recipe, system_type: type[System], path: Path) -> None:
    search, views = recipe.search, system_type.views
    if search.feature_weight and search.discrimination == "features" and "features" not in views:
        raise ConfigError(
            f"{path}: search.feature_weight is {search.feature_weight}, but {system_type.name} has no discriminator "
            "whose features it could weigh; set it to 0"
        )
    if search.discrimination == "fooling" and "logit" not in views:
        raise ConfigError(
            f"{path}: search.discrimination is 'fooling', but {system_type.name} has no discriminator to fool; "
            "set it to features"
        )


def _require_few_enough_to_trim(recipe: Recipe, path: Path) -> None:
    if recipe.search.residual != "trimmed":
        return
    share, (_, height, width) = recipe.search.trimmed_share, map_shape(recipe)
    places = height * width
    count = number_of_largest(places, share)
    if count >= _LARGEST_TOP:
        possible = math.floor(1000 * (_LARGEST_TOP - 1) / places) / 1000
        raise ConfigError(
            f"{path}: search.trimmed_share is {share}, {count} of {places} places, but TensorRT can leave out at "
            f"most {_LARGEST_TOP - 1}; lower it to {possible} or less"
        )


def _require_possible_latents(recipe: Recipe, system_type: type[System]) -> None:
    """Raise a ConfigError where a latent of the recipe, or one that it may choose, cannot be, before any work."""
    for kind in {recipe.network.latent, *(recipe.choice.latents if recipe.choice else ())}:
        network = recipe.network.model_copy(update={"latent": kind})
        layout = LatentLayout.of(recipe.model_copy(update={"network": network}))
        if layout.stride is not None and system_type.starts_at_pca(recipe):
            require_small_blocks(layout.block_chw[0], layout.stride)


def _require_a_use(section: str, recipe: Recipe, system_type: type[System], path: Path) -> None:
    if getattr(recipe, section) is None:
        return
    purpose = {"choice": "decides how weighed_residual is taken", "discriminator": "corrects weighed_residual"}[section]
    deployed = {*terms_of(recipe.score.search), *terms_of(recipe.score.encoder), system_type.paper_score}
    if "weighed_residual" not in deployed:
        raise ConfigError(
            f"{path}: {section} {purpose}, but the recipe deploys {recipe.score.search}; "
            f"set score.search to weighed_residual, or leave {section} out"
        )
    if not system_type.starts_at_pca(recipe):
        raise ConfigError(
            f"{path}: {section} is about what a PCA leaves, but {system_type.name} starts at none by this recipe; name "
            f"a backbone, set network.linear_path, or leave {section} out"
        )
