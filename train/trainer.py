"""One run: its stages step by step, with log, grids, checkpoints and a clean end at an interruption."""

from collections.abc import Callable, Mapping

import torch
from rich.console import Console
from rich.progress import Progress, TaskID
from torch import Tensor

from ganspect.errors import RunError
from ganspect.progress import progress_bar
from ganspect.train.batches import Batches
from ganspect.train.checkpoint import Position, load_checkpoint, read_position, save_checkpoint, save_weights
from ganspect.train.compute import Compute
from ganspect.train.features import FeatureBatches
from ganspect.train.folder import RunFolder
from ganspect.train.health import FIGURES, judge
from ganspect.train.interrupt import deferred_interrupts, said_to_go_on
from ganspect.train.log import TrainingLog
from ganspect.train.previews import write_grid
from ganspect.train.representation import map_shape
from ganspect.train.seeds import random_for, seeded
from ganspect.train.system import Stage, System

_PREVIEW_BATCH = 64


class Trainer:
    """Takes a system through its stages, from the folder's checkpoint if there is one."""

    def __init__(self, system: System, batches: Batches | FeatureBatches, compute: Compute, folder: RunFolder) -> None:
        """Move the system to its device.

        Args:
            system: the system with its initial weights.
            batches: the training images, or their feature maps.
            compute: device and precision.
            folder: claimed for this run.
        """
        self.system, self.batches, self.compute, self.folder = system, batches, compute, folder
        self.seed = system.recipe.seed
        self.settings = system.training_settings
        self.log = TrainingLog(folder.log)
        compute.place(system)

    def run(self) -> None:
        """Train what is left to train, write how healthy the stages were at their ends, and the weights.

        Raises:
            RunError: the checkpoint is damaged, or a loss is not a number any more.
            KeyboardInterrupt: SIGINT or SIGTERM came; the checkpoint is written.
        """
        plans = self.system.stages(self.compute)
        names = list(plans)
        position = read_position(self.folder.checkpoint)
        begin = names.index(position.stage) if position else 0
        if position is None:
            with said_to_go_on():
                self.system.begin(self.batches)
        with deferred_interrupts() as interrupted, progress_bar() as progress:
            for name in names[:begin]:
                progress.add_task(name, total=plans[name].steps, completed=plans[name].steps, detail="done before")
            for name in names[begin:]:
                stage, done = self._enter(name, names, plans[name].make, position)
                task = progress.add_task(name, total=plans[name].steps, completed=done, detail="")
                _StageLoop(self, name, stage, plans[name].steps).run(done, interrupted, progress, task)
                position = None
        self.folder.write_health(judge(self.log.columns(FIGURES)))
        save_weights(self.folder.weights, self.system.eval())
        self.folder.checkpoint.unlink(missing_ok=True)

    def _enter(
        self, name: str, names: list[str], make: Callable[[], Stage], position: Position | None
    ) -> tuple[Stage, int]:
        """Return a stage and the steps of it that were taken."""
        self.system.requires_grad_(False).eval()
        with seeded(self.seed, name, "made"):
            stage = make()
        if position is not None:
            load_checkpoint(self.folder.checkpoint, self.system, stage)
            self.log.cut_back(names[: names.index(name)], name, position.step)
            return stage, position.step
        save_checkpoint(self.folder.checkpoint, self.system, stage, Position(name, 0))
        return stage, 0


class _StageLoop:
    """The steps of one stage."""

    def __init__(self, trainer: Trainer, name: str, stage: Stage, steps: int) -> None:
        self.trainer, self.name, self.stage, self.steps = trainer, name, stage, steps
        self.images_per_step = stage.batch_size * stage.batches_per_step

    def run(self, done: int, interrupted: Callable[[], bool], progress: Progress, task: TaskID) -> None:
        for step in range(done, self.steps):
            losses = self._step(step)
            self.trainer.log.add(losses, self.images_per_step)
            progress.update(task, completed=step + 1)
            self._write_what_is_due(step + 1, progress, task)
            if interrupted():
                self._stop(step + 1)
        self.stage.finish()

    def _step(self, step: int) -> dict[str, Tensor]:
        trainer = self.trainer
        random = random_for(trainer.seed, self.name, step)
        first = step * self.images_per_step
        images = trainer.batches.take(self.name, first, self.images_per_step, random)
        return self.stage.step(trainer.compute.images(images), random, step / self.steps)

    def _write_what_is_due(self, taken: int, progress: Progress, task: TaskID) -> None:
        settings, last = self.trainer.settings, taken == self.steps
        if taken % settings.log_every == 0 or last:
            figures = self.trainer.log.write(self.name, taken, self._check(taken))
            self._require_finite(figures, taken)
            progress.update(task, detail="  ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        if taken % settings.sample_every == 0 or last:
            write_grid(self.trainer.folder.sample(self.name, taken), self._preview())
        if taken % settings.checkpoint_every == 0 and not last:
            self._save(taken)

    def _check(self, taken: int) -> Mapping[str, float]:
        trainer = self.trainer
        random = random_for(trainer.seed, self.name, "check", taken)
        # The batch that comes next: the step just taken was learnt from the one before.
        images = trainer.batches.take(self.name, taken * self.images_per_step, self.stage.batch_size, random)
        return self.stage.check(trainer.compute.images(images), random)

    def _preview(self) -> Tensor:
        random = random_for(self.trainer.seed, self.name, "preview")
        images = self.trainer.batches.take(self.name, 0, _PREVIEW_BATCH, random)
        shown = self.stage.preview(self.trainer.compute.images(images), random)
        with torch.no_grad():
            return self.trainer.system.picture(shown)

    def _require_finite(self, figures: dict[str, float], taken: int) -> None:
        wrong = [name for name, value in figures.items() if value != value or abs(value) == float("inf")]
        if wrong:
            raise RunError(
                f"the {wrong[0]} {'figure' if wrong[0] in FIGURES else 'loss'} of stage {self.name} is not a number "
                f"any more at step {taken}; lower training.{self.name}.learning_rate and train into a new folder"
            )

    def _save(self, taken: int) -> None:
        position = Position(self.name, taken)
        save_checkpoint(self.trainer.folder.checkpoint, self.trainer.system, self.stage, position)

    def _stop(self, taken: int) -> None:
        self._save(taken)
        Console(stderr=True).print(
            f"interrupted after step {taken} of stage {self.name}; run the same command again and it goes on there",
            soft_wrap=True,
        )
        raise KeyboardInterrupt


def trial_step(system: System, compute: Compute) -> Callable[[], object]:
    """Return a function that takes one step of the system's first stage on random images, to be timed."""
    compute.place(system)
    stage = next(iter(system.stages(compute).values())).make()
    count = stage.batch_size * stage.batches_per_step
    random = random_for(0, "trial")
    images = compute.images(torch.rand((count, *map_shape(system.recipe)), generator=random) * 2 - 1)
    return lambda: stage.step(images, random, 0.0)
