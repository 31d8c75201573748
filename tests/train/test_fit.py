import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ganspect.datasets.images import read_image
from ganspect.errors import ConfigError, DataError, OutputError, RunError
from ganspect.opencv import cv2
from ganspect.preprocess import to_tiles
from ganspect.scoring import to_unit_range
from ganspect.train.data import tile_grid
from ganspect.train.fit import train_recipe
from ganspect.train.gan import GanStage
from ganspect.train.run import load_run
from tests.conftest import make_mvtec_folder, train_tiny


def test_a_run_folder_holds_everything(tiny_run: Path, mvtec_folder: Path) -> None:
    assert {path.name for path in tiny_run.iterdir()} == {
        "config.yaml", "run.json", "log.csv", "samples", "weights.safetensors",
    }  # fmt: skip
    assert {path.name for path in (tiny_run / "samples").iterdir()} == {
        "gan_000020.png", "gan_000030.png", "encoder_000020.png", "encoder_000030.png",
    }  # fmt: skip
    assert read_image(tiny_run / "samples" / "gan_000030.png").shape == (8 * 32, 8 * 32)
    record = json.loads((tiny_run / "run.json").read_text())
    assert record["training"]["steps"] == {"gan": 30, "encoder": 30}
    assert (record["precision"], record["device"], record["skipped"]) == ("fp32", "cpu", [])
    assert yaml.safe_load((tiny_run / "config.yaml").read_text())["data"]["source"] == str(mvtec_folder)
    lines = (tiny_run / "log.csv").read_text().splitlines()
    assert lines[0] == "stage,step,images_per_s,discriminator,penalty,generator,diversity,residual,features"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [stage, step] for stage in ("gan", "encoder") for step in ("10", "20", "30")
    ]


def test_a_finished_run_is_left_as_it_is(
    tiny_run: Path, mvtec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_run / "weights.safetensors").stat().st_mtime_ns
    assert train_tiny(tiny_run, mvtec_folder) == tiny_run
    assert "is finished; next: ganspect export" in capsys.readouterr().out
    assert (tiny_run / "weights.safetensors").stat().st_mtime_ns == before


def test_the_summary_names_images_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_mvtec_folder(tmp_path / "data")
    (source / "train/good/bad.png").write_bytes(b"")
    train_tiny(tmp_path / "run", source, steps=2)
    out = capsys.readouterr().out
    assert "bad.png is empty (0 bytes)" in out
    assert "16 images trained on, 8 held out, 1 left out; fp32 on cpu" in out


def test_relative_paths_are_stored_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_mvtec_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run = train_tiny(tmp_path / "run", Path("data"), steps=2)
    monkeypatch.chdir("/")
    assert len(load_run(run).held_out()) == 8


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path: Path, mvtec_folder: Path) -> None:
    one, same, other = (
        load_file(train_tiny(tmp_path / name, mvtec_folder, f"seed={seed}", steps=3) / "weights.safetensors")
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["generator.layers.0.weight"], other["generator.layers.0.weight"])


def test_training_moves_every_network(tmp_path: Path, mvtec_folder: Path) -> None:
    short, long = (
        load_file(train_tiny(tmp_path / str(steps), mvtec_folder, steps=steps) / "weights.safetensors")
        for steps in (1, 4)
    )
    for network in ("generator", "features", "head", "encoder"):
        names = [name for name in short if name.startswith(network) and name.endswith("weight")]
        assert all(not torch.equal(short[name], long[name]) for name in names)


def test_every_stage_and_kind_of_loss(tmp_path: Path, mvtec_folder: Path) -> None:
    run = train_tiny(
        tmp_path / "run", mvtec_folder, "network.linear_path=true", "network.feature_levels=1", "data.gain=0.1",
        "data.flips=[horizontal,vertical]", "data.shift_px=2", "training.gan.loss=hinge", "training.gan.critic_steps=1",
        "training.gan.anchor_weight=1", "training.gan.schedule=cosine", "training.gan.average=0.9",
        "training.encoder.optimizer=adam", "training.encoder.distance=absolute", "training.refine.steps=4",
        "training.refine.batch_size=8", "training.precision=auto", steps=4,
    )  # fmt: skip
    names = set(load_file(run / "weights.safetensors"))
    assert not any("parametrizations" in name for name in names)
    assert "generator.linear.weight" in names
    opened = load_run(run)
    weight = opened.system.get_parameter("features.layers.0.weight")
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.2)
    assert json.loads((run / "run.json").read_text())["precision"] in ("fp32", "bf16")
    assert (run / "samples" / "refine_000004.png").exists()


def test_a_linear_path_reconstructs_from_the_first_step(tmp_path: Path, mvtec_folder: Path) -> None:
    run = load_run(train_tiny(tmp_path / "run", mvtec_folder, "network.linear_path=true", steps=1))
    tiles = np.concatenate([to_tiles(frame, tile_grid(run.recipe)).images for _, frame in run.held_out()])
    images = to_unit_range(torch.from_numpy(tiles).permute(0, 3, 1, 2).float())
    spread = (images - images.mean(0)).abs().mean()
    assert (run.system.generator(run.system.encode(images)) - images).abs().mean() < spread


def test_anogan_with_an_encoder(tmp_path: Path, mvtec_folder: Path) -> None:
    run = train_tiny(tmp_path / "run", mvtec_folder, "training.encoder.steps=2", system="anogan", steps=2)
    assert load_run(run).system.encoder is not None


def test_thirty_one_rgb_images_and_a_larger_batch(tmp_path: Path) -> None:
    source = make_mvtec_folder(tmp_path / "data", (128, 96))
    for index in range(24, 31):
        path = source / "train/good/000.png"
        (source / f"train/good/{index:03d}.png").write_bytes(changed(path, index))
    overrides = ["image.channels=3", "image.size_hw=[128,96]", "data.holdout=0.2", "training.gan.batch_size=64"]
    run = load_run(train_tiny(tmp_path / "run", source, *overrides, steps=1))
    assert (run.training.n_training, len(run.training.held_out)) == (25, 6)
    assert run.system.generator(torch.zeros((1, 8))).shape == (1, 3, 128, 96)


def changed(path: Path, index: int) -> bytes:
    """Return an image like another one, with one pixel changed."""
    image = read_image(path)
    image[0, index] = 0
    content: bytes = cv2.imencode(".png", image)[1].tobytes()
    return content


def test_a_folder_with_another_recipe(tiny_run: Path, mvtec_folder: Path) -> None:
    with pytest.raises(RunError, match=r"other settings \(seed: 0 there, 5 now, network\.width: 4 there, 8 now\)"):
        train_tiny(tiny_run, mvtec_folder, "seed=5", "network.width=8")


def test_a_folder_with_other_files(tmp_path: Path, mvtec_folder: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files and no run"):
        train_tiny(out, mvtec_folder)
    assert [path.name for path in out.iterdir()] == ["thesis.doc"]


def test_a_file_in_place_of_the_folder(tmp_path: Path, mvtec_folder: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match="is a file, a folder was expected"):
        train_tiny(tmp_path / "run", mvtec_folder)


def test_what_a_kill_in_the_first_moment_leaves_is_no_obstacle(tmp_path: Path, mvtec_folder: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".config.yaml.partial123").write_text("sys")
    train_tiny(out, mvtec_folder, steps=1)
    assert not list(out.glob(".*"))


def test_no_data_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("system: fanogan\n")
    with pytest.raises(ConfigError, match=r"names no data; add for example --set data\.source=FOLDER"):
        train_recipe(tmp_path / "a.yaml", [], tmp_path / "run")


def test_a_missing_folder_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        train_tiny(tmp_path / "run", tmp_path / "gone")
    assert not (tmp_path / "run").exists()


def test_an_impossible_size(tmp_path: Path, mvtec_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"image\.size_hw\.0.*greater than or equal to 28"):
        train_tiny(tmp_path / "run", mvtec_folder, "image.size_hw=[27,64]")


def test_a_loss_that_is_no_number(tmp_path: Path, mvtec_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GanStage, "step", lambda *_: {"generator": torch.tensor(float("nan"))})
    with pytest.raises(
        RunError, match=r"generator loss of stage gan is not a number any more at step 10; lower training"
    ):
        train_tiny(tmp_path / "run", mvtec_folder)
