import shutil
from pathlib import Path

import pytest
import torch

from ganspect.datasets import fingerprint
from ganspect.errors import RunError
from ganspect.train.run import load_run
from tests.conftest import make_mvtec_folder, train_tiny


def test_a_finished_run_opens_frozen_in_eval_mode(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    assert not run.system.training
    assert not any(parameter.requires_grad for parameter in run.system.parameters())
    image = torch.zeros((2, 1, 32, 32))
    assert run.system.encode(image).shape == (2, 8)
    assert run.system.encoder_score(image).shape == (2,)
    assert len(run.held_out()) == len(run.training.held_out) == 8


def test_anogan_has_no_encoder(tiny_anogan_run: Path) -> None:
    run = load_run(tiny_anogan_run)
    assert run.system.encoder is None


def test_rgb(tiny_rgb_run: Path) -> None:
    run = load_run(tiny_rgb_run)
    assert run.system.generator(torch.zeros((1, 8))).shape == (1, 3, 28, 36)


def copy_of(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run \(it has no config\.yaml\)"):
        load_run(tmp_path)


def test_an_unfinished_run_says_how_to_go_on(tiny_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"is unfinished; run 'ganspect train .* again: it goes on where it stopped"):
        load_run(run)


@pytest.mark.parametrize("content", [b"", b"\x10" * 200])
def test_damaged_weights(tiny_run: Path, tmp_path: Path, content: bytes) -> None:
    run = copy_of(tiny_run, tmp_path)
    (run / "weights.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged"):
        load_run(run)


def test_truncated_weights(tiny_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    weights = run / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged"):
        load_run(run)


def test_weights_of_another_network(tiny_run: Path, tiny_anogan_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    shutil.copy(tiny_anogan_run / "weights.safetensors", run)
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged"):
        load_run(run)


def test_a_damaged_record(tiny_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    (run / "run.json").write_text("{}")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        load_run(run)


def test_held_out_images_are_those_recorded_and_none_was_trained_on(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    marks = [fingerprint(frame) for _, frame in run.held_out()]
    assert sorted(marks) == sorted(run.training.held_out)
    assert not set(marks) & set(run.training.fingerprints)
    assert len(run.training.fingerprints) == run.training.n_training == 16


@pytest.mark.parametrize(("change", "sentence"), [("gone", "cannot be read again"), ("fewer", "no longer in")])
def test_data_that_moved(tmp_path: Path, change: str, sentence: str) -> None:
    source = make_mvtec_folder(tmp_path / "data")
    run = load_run(train_tiny(tmp_path / "run", source, steps=2))
    if change == "gone":
        source.rename(tmp_path / "elsewhere")
    else:
        for path in sorted((source / "train/good").iterdir())[4:]:
            path.unlink()
    with pytest.raises(RunError, match=sentence):
        run.held_out()
