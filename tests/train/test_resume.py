"""A run that is killed anywhere goes on to exactly the weights of an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganspect.errors import RunError
from ganspect.train.checkpoint import Position, read_position
from ganspect.train.gan import GanStage
from ganspect.train.health import FIGURES
from ganspect.train.log import TrainingLog
from tests.conftest import make_mvtec_folder, train_tiny

ROOT = Path(__file__).parents[2]

KILLED_IN_A_STEP = """
import os, signal, sys
from ganspect.train import gan
step, taken = gan.GanStage.step, []
def dying_step(self, *arguments):
    taken.append(1)
    if len(taken) == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *arguments)
gan.GanStage.step = dying_step
"""

KILLED_IN_A_CHECKPOINT = """
import os, signal, sys
from pathlib import Path
from ganspect.train import checkpoint
write, written = checkpoint.write_atomically, []
def dying_write(path, content):
    written.append(1)
    if len(written) == 4:
        path.with_name(f".{path.name}.partial{os.getpid()}").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
checkpoint.write_atomically = dying_write
"""

TERMINATED = """
import os, signal, sys
from ganspect.train import reconstruction
step, taken = reconstruction.ReconstructionStage.step, []
def interrupted_step(self, *arguments):
    taken.append(1)
    if len(taken) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, *arguments)
reconstruction.ReconstructionStage.step = interrupted_step
"""

MAIN = """
import torch
torch.set_num_threads(1)
from ganspect.cli import main
sys.argv = ["ganspect", "train", *sys.argv[1:]]
main()
"""

# The spectral norm's vectors, the averages and all optimizers must survive too.
OVERRIDES = (
    "training.gan.loss=hinge", "training.gan.average=0.9", "training.gan.schedule=cosine", "data.shift_px=2",
    "data.flips=[horizontal]", "training.refine.steps=6", "training.refine.batch_size=8", "training.log_every=5",
    "training.refine.optimizer=adam",
)  # fmt: skip


def run_child(prelude: str, out: Path, source: Path) -> subprocess.CompletedProcess[str]:
    recipe = out.with_name(f"{out.name}.yaml")
    settings = [f"data.source={source}", "training.gan.steps=30", "training.gan.batch_size=8"]
    settings += ["training.encoder.steps=30", "training.encoder.batch_size=8", *OVERRIDES]
    arguments = [str(recipe), "--out", str(out), *(part for setting in settings for part in ("--set", setting))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", prelude + MAIN, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


def require_equal(one: Path, other: Path) -> None:
    first, second = (load_file(run / "weights.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def logged(run: Path) -> list[list[str]]:
    """Return the lines of the log without their speed, and without those that an interruption added."""
    lines = [line.split(",") for line in (run / "log.csv").read_text().splitlines()[1:]]
    return [[*line[:2], *line[3:]] for line in lines]


def checked(run: Path) -> tuple[object, object]:
    """Return the checks that were logged, and the health that came of them."""
    health = json.loads((run / "run.json").read_text())["health"]
    assert list(health["stages"]["gan"]) == list(FIGURES)
    return TrainingLog(run / "log.csv").columns(FIGURES), health


def test_killed_killed_while_writing_terminated_and_resumed(mvtec_folder: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_tiny(whole, mvtec_folder, *OVERRIDES)
    (tmp_path / "broken.yaml").write_text((tmp_path / "whole.yaml").read_text())

    killed = run_child(KILLED_IN_A_STEP, broken, mvtec_folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_position(broken / "checkpoint.safetensors") == Position("gan", 10)

    killed = run_child(KILLED_IN_A_CHECKPOINT, broken, mvtec_folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_position(broken / "checkpoint.safetensors") == Position("encoder", 10)

    terminated = run_child(TERMINATED, broken, mvtec_folder)
    assert terminated.returncode == 130, terminated.stderr
    assert "interrupted after step 13 of stage encoder; run the same command again" in terminated.stderr
    assert "Traceback" not in terminated.stderr
    assert read_position(broken / "checkpoint.safetensors") == Position("encoder", 13)
    assert not (broken / "weights.safetensors").exists()

    train_tiny(broken, mvtec_folder, *OVERRIDES)
    require_equal(whole, broken)
    assert checked(whole) == checked(broken)
    assert {line[0] + line[1] for line in logged(whole)} == {line[0] + line[1] for line in logged(broken)}
    assert not list(broken.glob(".*"))


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original, taken = GanStage.step, []

    def interrupted(self: GanStage, *arguments: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(GanStage, "step", interrupted)


@pytest.mark.parametrize("step", [1, 30])
def test_interrupted_at_the_first_and_last_step_of_a_stage(
    mvtec_folder: Path, tiny_run: Path, tmp_path: Path, step: int
) -> None:
    interrupted_run(tmp_path, mvtec_folder, step)
    assert read_position(tmp_path / "run" / "checkpoint.safetensors") == Position("gan", step)
    require_equal(train_tiny(tmp_path / "run", mvtec_folder), tiny_run)
    if step == 30:
        assert logged(tmp_path / "run") == logged(tiny_run)


def interrupted_run(tmp_path: Path, source: Path, step: int = 2) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(step, patch)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(tmp_path / "run", source)
    return tmp_path / "run"


def test_a_damaged_checkpoint(mvtec_folder: Path, tmp_path: Path) -> None:
    run = interrupted_run(tmp_path, mvtec_folder)
    checkpoint = run / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"checkpoint\.safetensors is damaged .*; delete .* and train again"):
        train_tiny(run, mvtec_folder)


def test_images_that_changed_since_the_run_began(tmp_path: Path) -> None:
    source = make_mvtec_folder(tmp_path / "data")
    run = interrupted_run(tmp_path, source)
    (source / "train/good/003.png").unlink()
    with pytest.raises(RunError, match=r"changed since the run in .+ began"):
        train_tiny(run, source)


def test_signal_handlers_are_put_back(mvtec_folder: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupted_run(tmp_path, mvtec_folder)
    assert signal.getsignal(signal.SIGINT) is before
