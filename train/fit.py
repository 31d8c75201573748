"""The fit loop: a recipe and normal images in, a run folder out; goes on by itself where it was interrupted.

ganspect train configs/fanogan.yaml --set data.source=FOLDER --out run
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ganspect.config import Recipe
from ganspect.datasets import Dataset, open_dataset
from ganspect.datasets.catalogue import absolute_source
from ganspect.errors import ConfigError, RunError
from ganspect.progress import print_warning
from ganspect.records import ChoiceRecord
from ganspect.sections import read_yaml, with_overrides
from ganspect.train.batches import Batches
from ganspect.train.choosing import choose
from ganspect.train.compute import Compute, Precision, choose_device, choose_precision, deterministic
from ganspect.train.data import TrainingData, load_training_data, require_one_scale
from ganspect.train.features import FeatureBatches, open_features, prepare_representation
from ganspect.train.folder import RunFolder, RunRecord
from ganspect.train.interrupt import said_to_go_on
from ganspect.train.representation import Representation
from ganspect.train.run import build_system
from ganspect.train.system import System
from ganspect.train.systems import find_system, parse_recipe
from ganspect.train.trainer import Trainer, trial_step

_NAMED_AT_MOST = 20


def train_recipe(config: Path, overrides: list[str], out: Path, *, system_type: type[System] | None = None) -> Path:
    """Train as a recipe file says; print what came of it.

    Args:
        config: the recipe, a YAML file.
        overrides: `section.key=value` each.
        out: the run folder; an interrupted run in it goes on, a finished one is left as it is.
        system_type: a system that is not in `ganspect.train.systems.SYSTEMS`.

    Returns:
        The run folder.

    Raises:
        ConfigError: the recipe cannot be used.
        DataError: the images cannot be used.
        RunError: the folder holds a run with other settings or data, or the training diverged.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM came; the checkpoint is written.
    """
    recipe = with_absolute_paths(parse_recipe(read_yaml(config, overrides), config, system_type))
    if recipe.data.source is None:
        raise ConfigError(f"{config} names no data; add for example --set data.source=FOLDER")
    if RunFolder(out).finished:
        RunFolder(out).claim(recipe)
        Console().print(f"{out} is finished; next: ganspect export {out} --out BUNDLE", soft_wrap=True)
        _print_warnings(out)
        return out
    dataset = open_dataset(recipe.data.source, split_seed=recipe.data.split_seed, path=recipe.data.path)
    train(recipe, system_type or find_system(recipe.system, str(config)), dataset, out)
    _print_summary(out)
    _print_warnings(out)
    return out


def train(recipe: Recipe, system_type: type[System], dataset: Dataset, out: Path) -> Path:
    """Train a system on a data set; see `train_recipe` for folder and errors."""
    require_one_scale(recipe)
    folder = RunFolder(out)
    folder.claim(recipe)
    if folder.finished:
        return out
    with deterministic():
        with said_to_go_on():
            trainer = _prepared(recipe, system_type, dataset, folder)
        trainer.run()
    folder.features.unlink(missing_ok=True)
    return out


def _prepared(recipe: Recipe, system_type: type[System], dataset: Dataset, folder: RunFolder) -> Trainer:
    """Return what trains a run, begun now or before: images are read, features computed, what is open is chosen."""
    data = load_training_data(recipe, dataset)
    begun = _begun_before(data, folder)
    represented = _represented(recipe, data, folder)
    choice = begun.choice if begun else _chosen(recipe, data, represented)
    recipe = with_choice(recipe, choice, system_type, folder.config)
    system = build_system(recipe, system_type)
    if system.representation is not None and represented.representation is not None:
        system.representation.load_state_dict(represented.representation.state_dict())
    compute = _compute_of(begun) if begun else _begin(recipe, system, data, folder, choice)
    return Trainer(system, represented.batches, compute, folder)


@dataclass(frozen=True)
class _Represented:
    """The training images as the networks see them.

    Attributes:
        representation: images to x; None: x is the image.
        batches: batches of x.
    """

    representation: Representation | None
    batches: Batches | FeatureBatches


def _represented(recipe: Recipe, data: TrainingData, folder: RunFolder) -> _Represented:
    if recipe.backbone is None:
        return _Represented(None, data.batches)
    representation = Representation(recipe)
    prepare_representation(representation, data.batches, recipe, folder.representation)
    return _Represented(representation, open_features(representation, data.batches, recipe, folder.features))


def _chosen(recipe: Recipe, data: TrainingData, represented: _Represented) -> ChoiceRecord | None:
    if recipe.choice is None:
        return None
    return choose(recipe, data.batches, represented.batches, represented.representation or (lambda image: image))


def with_choice(recipe: Recipe, choice: ChoiceRecord | None, system_type: type[System], origin: Path) -> Recipe:
    """Return a recipe with what was chosen for it.

    Raises:
        ConfigError: its system cannot have that.
    """
    if choice is None:
        return recipe
    return parse_recipe(with_overrides(recipe.model_dump(mode="json"), choice.settings), origin, system_type)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Return a recipe whose data are found from any working folder."""
    data = recipe.data
    source = None if data.source is None else absolute_source(data.source)
    path = None if data.path is None else data.path.expanduser().absolute()
    return recipe.model_copy(update={"data": data.model_copy(update={"source": source, "path": path})})


def _begun_before(data: TrainingData, folder: RunFolder) -> RunRecord | None:
    """Return the record of an interrupted run; None: this one is new."""
    before = folder.read_record()
    if before is not None and before.training.model_copy(update={"steps": {}}) != data.record:
        raise RunError(
            f"the images of {data.record.source} changed since the run in {folder.path} began; "
            "put them back as they were, or choose another --out"
        )
    return before


def _compute_of(before: RunRecord) -> Compute:
    return Compute(choose_device(before.device), before.precision)


def _begin(
    recipe: Recipe, system: System, data: TrainingData, folder: RunFolder, choice: ChoiceRecord | None
) -> Compute:
    """Choose what a new run is trained with, and write it down."""
    settings = system.training_settings
    device = choose_device(settings.device)
    stages = system.stages(Compute(device, "fp32"))
    precision: Precision = "fp32"
    if stages:
        precision = choose_precision(
            settings.precision, device, lambda compute: trial_step(build_system(recipe, type(system)), compute)
        )
    compute = Compute(device, precision)
    steps = {name: plan.steps for name, plan in stages.items()}
    folder.write_record(data.record.model_copy(update={"steps": steps}), compute, data.skipped, choice)
    return compute


def _print_summary(out: Path) -> None:
    record = RunFolder(out).read_record()
    if record is None:
        return
    training, console = record.training, Console()
    for image in record.skipped[:_NAMED_AT_MOST]:
        console.print(f"left out: {image['reason']}", soft_wrap=True)
    console.print(
        f"{out}: {training.n_training} images trained on, {len(training.held_out)} held out, "
        f"{training.n_skipped} left out; {record.precision} on {record.device}\n"
        f"{_choice_sentence(record.choice)}next: ganspect export {out} --out BUNDLE",
        soft_wrap=True,
    )


def _choice_sentence(choice: ChoiceRecord | None) -> str:
    if choice is None:
        return ""
    return (
        f"chosen by {choice.drawn} defects drawn on normal images: {', '.join(choice.settings)} "
        f"(the best of {len(choice.candidates)}, AUROC {choice.auroc:.3f})\n"
    )


def _print_warnings(out: Path) -> None:
    record = RunFolder(out).read_record()
    if record is not None:
        _warn_of_few_images(out, record)
    for sentence in record.health.warnings if record else ():
        print_warning(sentence)


def _warn_of_few_images(out: Path, record: RunRecord) -> None:
    """Say that residuals are weighed at each place by fewer images than a place has channels."""
    settings = [] if record.choice is None else record.choice.settings
    content = with_overrides(read_yaml(RunFolder(out).config, []), list(settings))
    if content["backbone"] is None or content["score"]["weighing"] != "place":
        return
    maps = record.training.n_training * (content["data"]["patches_per_image"] or 1)
    channels = content["backbone"]["channels"]
    if maps < channels:
        print_warning(
            f"{maps} training images are too few to know how the {channels} channels of each place vary together; a "
            f"floor stands in for what they do not show. With {channels} or more the weights are sharper; with few, "
            "score.weighing=pooled may do better"
        )
