"""Recipes: YAML read into checked models, with errors that name the file, the key and the nearest match.

    recipe = read_recipe(Path("configs/fanogan.yaml"), ["data.source=images/", "seed=1"], Recipe)

A system adds its own settings by subclassing `Recipe` with another type for `training`.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ganspect.errors import ConfigError
from ganspect.records import PRECISIONS, Precision
from ganspect.scoring import PAPER_WEIGHTS, SCORES

LEAST_SIDE = 28
LARGEST_SIDE = 512

Side = Annotated[int, Field(ge=LEAST_SIDE, le=LARGEST_SIDE)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of a recipe; unknown keys and numbers without end are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageSettings(Section):
    """What the model sees of a frame.

    Attributes:
        size_hw: height and width of the model's input in pixels.
        channels: 1 grey, 3 RGB.
        bits: significant bits of a pixel value; 8 for uint8 images, 12 or 16 for uint16 ones.
        fit: `resize` a whole frame to `size_hw`, or cut it into `tiles` of that size.
        overlap: share of a tile's side that its neighbour covers too.
    """

    size_hw: tuple[Side, Side] = (64, 64)
    channels: Literal[1, 3] = 1
    bits: Literal[8, 12, 16] = 8
    fit: Literal["resize", "tiles"] = "resize"
    overlap: Annotated[float, Field(ge=0, le=0.75)] = 0.25


class DataSettings(Section):
    """Where normal images come from, how they are split and varied.

    Attributes:
        source: `elpv:mono`, `mnist:3`, `fashion-mnist:8`, a folder in the MVTec layout, or an `.npz` file.
        path: file that holds a data set named in `source` where no package brings it.
        split_seed: seed of the train/test split (where the data set has none) and of the held-out part.
        holdout: share of the normal training images kept for calibration; training never sees them.
        patches_per_image: K random patches of `image.size_hw` from each image; absent: whole images.
        flips: mirror directions under which the images look alike.
        shift_px: largest random shift in pixels, edges replicated.
        gain: largest random change of the brightness, as a share of it.
    """

    source: str | None = None
    path: Path | None = None
    split_seed: int = 0
    holdout: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    patches_per_image: Positive | None = None
    flips: tuple[Literal["horizontal", "vertical"], ...] = ()
    shift_px: Annotated[int, Field(ge=0, le=16)] = 0
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.0


class NetworkSettings(Section):
    """Sizes of the networks.

    Attributes:
        width: channels of the layer next to the image, doubled with each halving up to 8 times (64: the paper's).
        latent_size: D, the length of a latent.
        feature_levels: halvings after which the discriminator's activations are taken as f; absent: after all.
        linear_path: a linear map beside the convolutions of generator and encoder, started at the PCA of the training
            images, in place of batch norm and tanh; for aligned parts.
    """

    width: Annotated[int, Field(ge=4, le=256)] = 64
    latent_size: Annotated[int, Field(ge=2, le=2048)] = 128
    feature_levels: Positive | None = None
    linear_path: bool = False


class SearchSettings(Section):
    """The latent search of the bundle.

    Attributes:
        steps: K, points scored at most.
        burn_in: points passed through first, whose scores do not count. An encoder's latent still follows a defect a
            little, and the search lets go of it; but then no frame is cleared by the encoder's start alone.
        restarts: starts searched for each tile; the encoder's comes first, the others are random.
        learning_rate: of Adam, in units of the latent.
        beta1: of Adam.
        beta2: of Adam.
        epsilon: of Adam.
        clip: latents stay within [-clip, clip]; absent: free.
        feature_weight: λ of the search loss.
        reduction: `mean`, or `sum` as in AnoGAN's paper.
        discrimination: what λ weighs: the distance of `features`, or `fooling` the discriminator.
    """

    steps: Annotated[int, Field(ge=1, le=10_000)] = 20
    burn_in: Annotated[int, Field(ge=0)] = 0
    restarts: Annotated[int, Field(ge=1, le=64)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] | None = None
    feature_weight: Share = 0.1
    reduction: Literal["mean", "sum"] = "mean"
    discrimination: Literal["features", "fooling"] = "features"

    @model_validator(mode="after")
    def _counts(self) -> "SearchSettings":
        if self.burn_in >= self.steps:
            raise ValueError(f"burn_in is {self.burn_in}, but must be under steps ({self.steps}), or no score counts")
        return self


class ScoreSettings(Section):
    """Which score the bundle deploys, in search and for the encoder alone.

    Attributes:
        search: name in `ganspect.scoring.SCORES` that the search tracks and the threshold is for.
        encoder: `paper` for the system's own score, or a name as above, taken at the encoder's latent.
        feature_weight: λ of AnoGAN's scores.
        alpha: α of EGBAD's scores.
        kappa: κ of f-AnoGAN's score.
        scale: `min_max` reports scores relative to those of the calibration's normal images (GANomaly, section 4):
            0 the lowest of them, 1 the highest; verdicts are the same.
    """

    search: str = "residual_mean"
    encoder: str = "paper"
    feature_weight: Share = PAPER_WEIGHTS.feature_weight
    alpha: Share = PAPER_WEIGHTS.alpha
    kappa: Annotated[float, Field(ge=0)] = PAPER_WEIGHTS.kappa
    scale: Literal["none", "min_max"] = "none"

    @model_validator(mode="after")
    def _known(self) -> "ScoreSettings":
        for name, allowed in ((self.search, set(SCORES)), (self.encoder, {*SCORES, "paper"})):
            if name not in allowed:
                raise ValueError(f"unknown score {name!r}; expected one of {', '.join(sorted(allowed))}")
        return self


class Recipe(Section):
    """Everything that decides a run; the same recipe, data, precision and machine give the same weights.

    Attributes:
        system: `anogan`, `fanogan`, `egbad` or `ganomaly`.
        seed: of initial weights, data order, augmentation and latents.
        image: see `ImageSettings`; likewise the other sections.
    """

    system: str
    seed: Annotated[int, Field(ge=0)] = 0
    image: ImageSettings = ImageSettings()
    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    search: SearchSettings = SearchSettings()
    score: ScoreSettings = ScoreSettings()


RecipeT = TypeVar("RecipeT", bound=Recipe)
SectionT = TypeVar("SectionT", bound=Section)


def read_yaml(
    path: Path, overrides: list[str], *, what: str = "recipe", such_as: str = "configs/fanogan.yaml"
) -> dict[str, Any]:
    """Read a settings file and apply `section.key=value` overrides, without checking the keys.

    Args:
        path: of the file.
        overrides: `section.key=value`.
        what: it is, for messages.
        such_as: an example of one, for messages.

    Raises:
        ConfigError: the file is missing or no YAML mapping, or an override has no `=`.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"cannot read the {what} {path}: {reason}; give a YAML file such as {such_as}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}; mend that line") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings; expected 'key: value' lines as in {such_as}")
    for override in overrides:
        _apply(content, override)
    return content


def parse(content: dict[str, Any], model: type[SectionT], *, origin: str) -> SectionT:
    """Check settings against a model.

    Args:
        content: as read from YAML.
        model: the class of the settings, such as the recipe of the system that `content` names.
        origin: the file's name, for messages.

    Raises:
        ConfigError: the first key that is unknown, or whose value is impossible, in one sentence.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_sentence(error, model, origin)) from error


def read_recipe(path: Path, overrides: list[str], model: type[RecipeT]) -> RecipeT:
    """Read and check a recipe file; see `read_yaml` and `parse` for the errors."""
    return parse(read_yaml(path, overrides), model, origin=str(path))


def to_yaml(recipe: Recipe) -> str:
    """Return the recipe as YAML that `read_recipe` reads back to an equal one."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def nearest(name: str, allowed: list[str]) -> str:
    """Return `; did you mean 'x'?` for a close match, else the list of what is allowed."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(allowed)}"


def known_precision(name: str) -> Precision:
    """Return a precision by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"unknown precision {name!r}; {nearest(name, list(PRECISIONS))}")
    return name


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r} has no 'key=value' form; write for example --set data.source=images")
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is no section; remove what follows the dot")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML; quote it") from error


_REASONS = {
    "tuple_type": "a list was expected, such as [64, 64]",
    "missing": "a value is missing",
    "union_tag_not_found": "a 'kind' is missing",
    "bool_type": "true or false was expected",
    "finite_number": "a finite number was expected",
    "model_type": "a section of settings was expected, not a value",
}


def _sentence(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    errors = error.errors()
    # A mistyped key is also missing under its right name; what was typed says more.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    location = [part for part in first["loc"] if not isinstance(part, int)]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "union_tag_invalid":
        kinds = [kind.strip(" '") for kind in first["ctx"]["expected_tags"].split(",")]
        return f"{origin}: {key!r}: unknown kind {first['ctx']['tag']!r}; {nearest(first['ctx']['tag'], kinds)}"
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, [str(part) for part in location[:-1]])
        return f"{origin}: unknown key {key!r}; {nearest(str(location[-1]), known)}"
    reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    given = "" if first["type"] in ("missing", "value_error") else f" (given: {first['input']!r})"
    if not key:
        return f"{origin}: {reason}"  # about several keys, which the reason names
    return f"{origin}: {key!r}: {reason[0].lower()}{reason[1:]}{given}; correct that key"


def _known_keys(model: type[BaseModel], sections: list[str]) -> list[str]:
    for section in sections:
        annotation = model.model_fields[section].annotation if section in model.model_fields else None
        # A section, or several in a tuple.
        inner = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
        found = next((part for part in inner if issubclass(part, BaseModel)), None)
        if found is None:
            break
        model = found
    return list(model.model_fields)
