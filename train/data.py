"""The normal images of a recipe: read, checked, split into training and held out, and fingerprinted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ganspect.config import Recipe
from ganspect.datasets import Dataset, Sample, Skipped, fingerprint, split_held_out
from ganspect.errors import ConfigError, DataError, ImageError
from ganspect.preprocess import Frame, TileGrid, convert, resize
from ganspect.progress import progress_bar
from ganspect.records import TrainingRecord
from ganspect.train.batches import Batches, Pixels


@dataclass(frozen=True)
class TrainingData:
    """What a run is trained on.

    Attributes:
        batches: the training images.
        record: for run.json and the manifest; its `steps` are empty.
        skipped: images left out: unreadable, of the wrong kind, or copies of another.
    """

    batches: Batches
    record: TrainingRecord
    skipped: list[Skipped]


@dataclass(frozen=True)
class _Entry:
    name: str
    fingerprint: str
    pixels: Pixels


def load_training_data(recipe: Recipe, dataset: Dataset) -> TrainingData:
    """Read the normal images of a data set and keep a part of them back.

    Copies of one image count once, so that none is both trained on and held out.

    Raises:
        ConfigError: the recipe trains on patches and deploys on whole images, or the reverse.
        DataError: no image can be used, or too few.
    """
    require_one_scale(recipe)
    skipped: list[Skipped] = []
    entries = list(_unique(_readable(dataset.train, recipe, skipped), skipped))
    if not entries:
        first = f"; the first: {skipped[0].reason}" if skipped else ""
        raise DataError(f"none of the {len(dataset.train)} normal images of {dataset.name} can be used{first}")
    training, held_out = split_held_out(entries, recipe.data.holdout, recipe.data.split_seed)
    record = TrainingRecord(
        source=dataset.name,
        split_seed=recipe.data.split_seed,
        n_training=len(training),
        n_skipped=len(skipped),
        fingerprints=[entry.fingerprint for entry in training],
        held_out=[entry.fingerprint for entry in held_out],
        steps={},
    )
    batches = Batches([entry.pixels for entry in training], recipe.image.size_hw, recipe.data, recipe.seed)
    return TrainingData(batches, record, skipped)


def require_one_scale(recipe: Recipe) -> None:
    """Refuse a recipe that trains on another scale than the one it is deployed at.

    Raises:
        ConfigError: `data.patches_per_image` does not go with `image.fit`.
    """
    patches = recipe.data.patches_per_image is not None
    if patches and recipe.image.fit == "resize":
        raise ConfigError(
            "data.patches_per_image trains on patches, image.fit 'resize' inspects whole images; set it to tiles"
        )
    if not patches and recipe.image.fit == "tiles":
        raise ConfigError(
            "image.fit 'tiles' inspects patches, but training would see whole images; set data.patches_per_image"
        )


def tile_grid(recipe: Recipe) -> TileGrid:
    """Return the recipe's image section as `ganspect.preprocess` takes it."""
    image = recipe.image
    return TileGrid(image.size_hw, image.channels, image.bits, image.fit, image.overlap)


def _readable(samples: Iterable[Sample], recipe: Recipe, skipped: list[Skipped]) -> Iterator[_Entry]:
    samples = list(samples)
    with progress_bar() as progress:
        for sample in progress.track(samples, task_id=progress.add_task("reading", total=len(samples), detail="")):
            try:
                frame = sample.read()
                yield _Entry(sample.name, fingerprint(frame), _to_pixels(frame, recipe))
            except ImageError as error:
                skipped.append(Skipped(sample.name, str(error)))


def _unique(entries: Iterable[_Entry], skipped: list[Skipped]) -> Iterator[_Entry]:
    first: dict[str, str] = {}
    for entry in entries:
        if entry.fingerprint in first:
            skipped.append(Skipped(entry.name, f"{entry.name} has the same pixels as {first[entry.fingerprint]}"))
            continue
        first[entry.fingerprint] = entry.name
        yield entry


def _to_pixels(frame: Frame, recipe: Recipe) -> Pixels:
    """Return what batches are cut from: the whole image at the model's size, or the frame, at least that large."""
    pixels = convert(frame, tile_grid(recipe))
    height, width = recipe.image.size_hw
    if recipe.image.fit == "resize":
        return resize(pixels, (height, width))
    canvas_hw = (max(height, pixels.shape[0]), max(width, pixels.shape[1]))
    return pixels if canvas_hw == pixels.shape[:2] else resize(pixels, canvas_hw)
