"""A finished run, opened for export.

run = load_run(Path("run")); latents = run.system.encode(images)
"""

from dataclasses import dataclass
from pathlib import Path

from ganspect.config import Recipe
from ganspect.datasets import Sample, fingerprint, open_dataset, read_samples
from ganspect.errors import DataError, RunError
from ganspect.preprocess import Frame
from ganspect.records import ChoiceRecord, Health, TrainingRecord
from ganspect.sections import read_yaml
from ganspect.train.checkpoint import load_weights
from ganspect.train.folder import RunFolder
from ganspect.train.seeds import seeded
from ganspect.train.system import System
from ganspect.train.systems import find_system, parse_recipe


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        system: in eval mode, on the CPU, float32, frozen; averaged weights.
        recipe: as resolved.
        training: what it was trained on.
        health: of its stages at the end.
        choice: what drawn defects decided; None where the recipe left nothing open.
    """

    folder: Path
    system: System
    recipe: Recipe
    training: TrainingRecord
    health: Health
    choice: ChoiceRecord | None = None

    def held_out(self) -> list[tuple[Sample, Frame]]:
        """Read the normal images that were kept back for calibration, in the data set's order.

        Raises:
            RunError: the data set is not where it was, or its images are others than those recorded.
        """
        data = self.recipe.data
        try:
            dataset = open_dataset(self.training.source, split_seed=data.split_seed, path=data.path)
        except DataError as error:
            raise RunError(f"the data of {self.folder} cannot be read again: {error}") from error
        wanted = set(self.training.held_out)
        found: dict[str, tuple[Sample, Frame]] = {}
        for sample in dataset.train:
            for _, frame in read_samples([sample])[0]:
                mark = fingerprint(frame)
                if mark in wanted:
                    found.setdefault(mark, (sample, frame))
        if len(found) < len(wanted):
            raise RunError(
                f"{len(wanted) - len(found)} of the {len(wanted)} images that {self.folder} held out are no longer in "
                f"{self.training.source}; put the data back as it was, or train again"
            )
        return list(found.values())


def load_run(folder: Path, *, system_type: type[System] | None = None) -> Run:
    """Open a finished run.

    Args:
        folder: as `ganspect train` wrote it.
        system_type: a system that is not in `ganspect.train.systems.SYSTEMS`.

    Raises:
        RunError: there is no run, it is unfinished, or its weights are damaged.
    """
    place = RunFolder(folder)
    if not place.config.exists():
        raise RunError(f"{folder} is no run (it has no config.yaml); give the folder that 'ganspect train' wrote")
    record = place.read_record()
    if not place.finished or record is None:
        raise RunError(
            f"the run in {folder} is unfinished; run 'ganspect train {place.config} --out {folder}' again: "
            "it goes on where it stopped"
        )
    chosen = record.choice.settings if record.choice else []
    recipe = parse_recipe(read_yaml(place.config, chosen), place.config, system_type)
    system = build_system(recipe, system_type or find_system(recipe.system, str(place.config)))
    load_weights(place.weights, system)
    return Run(folder, system.eval().requires_grad_(False), recipe, record.training, record.health, record.choice)


def build_system(recipe: Recipe, system_type: type[System]) -> System:
    """Return a system with the initial weights that the recipe's seed stands for."""
    with seeded(recipe.seed, "initial weights"):
        return system_type(recipe)
