"""Feature maps of training images: every copy once, kept on disk while a run lasts, and the same when it goes on."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ganspect.config import DataSettings
from ganspect.errors import OutputError, RunError
from ganspect.train import features
from ganspect.train.batches import Batches
from ganspect.train.features import FeatureBatches, copies_of, open_features, prepare_representation
from ganspect.train.gan import GanStage
from ganspect.train.representation import Representation
from ganspect.train.seeds import random_for
from ganspect.train.systems import parse_recipe
from tests.conftest import FEATURE_SPACE, WEIGHED, make_mvtec_folder, texture, train_system

SIZE_HW = (64, 72)


def recipe_of(data: dict[str, Any], **backbone: Any) -> Any:
    content = {
        "system": "linear",
        "image": {"size_hw": SIZE_HW, "channels": 1},
        "data": data,
        "backbone": {"layers": [0], "stride": 8, "channels": 4, **backbone},
        "search": {"feature_weight": 0},
    }
    return parse_recipe(content, Path("a.yaml"))


def images_of(recipe: Any, count: int = 5) -> Batches:
    random = np.random.default_rng(0)
    return Batches([texture(random, SIZE_HW)[..., None] for _ in range(count)], SIZE_HW, recipe.data, recipe.seed)


def opened(recipe: Any, folder: Path) -> tuple[Representation, FeatureBatches]:
    representation, images = Representation(recipe), images_of(recipe)
    prepare_representation(representation, images, recipe, folder / "representation.safetensors")
    return representation, open_features(representation, images, recipe, folder / "features.npy")


def close(maps: Tensor, expected: Tensor) -> bool:
    """Return whether maps are equal up to half precision."""
    return torch.allclose(maps, expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(
    ("data", "given", "expected"),
    [
        ({}, None, 1), ({"flips": ["vertical"]}, None, 2), ({"flips": ["horizontal", "vertical"]}, None, 4),
        ({"shift_px": 2}, None, 4), ({"gain": 0.1, "flips": ["vertical"]}, None, 4), ({"shift_px": 2}, 7, 7),
        ({"flips": ["vertical"]}, 1, 1),
    ],
)  # fmt: skip
def test_as_many_copies_as_there_are_ways_to_vary_an_image(data: dict[str, Any], given: Any, expected: int) -> None:
    assert copies_of(recipe_of(data, copies=given)) == expected


def test_copies_are_the_image_and_its_mirror_images() -> None:
    batches, index = images_of(recipe_of({"flips": ["horizontal", "vertical"]})), torch.arange(5)
    plain = batches.copy(index, 0)
    in_order = batches.plain(5)[batches.order("plain", 0, 5).argsort()]
    assert torch.equal(plain, in_order)
    mirrored = [plain.flip(axes) for axes in ([3], [2], [2, 3])]
    for found, expected in zip((batches.copy(index, number) for number in (1, 2, 3)), mirrored, strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(batches.copy(index, 5), mirrored[0])


def test_shift_and_gain_vary_all_copies_but_the_first_and_always_alike() -> None:
    settings = DataSettings(shift_px=3, gain=0.2)
    random = np.random.default_rng(0)
    batches = Batches([texture(random, SIZE_HW)[..., None] for _ in range(3)], SIZE_HW, settings, 0)
    assert torch.equal(batches.copy(torch.arange(3), 0), batches.plain(3)[batches.order("plain", 0, 3).argsort()])
    copies = [batches.copy(torch.arange(3), number) for number in range(4)]
    assert len({tuple(copy.flatten().tolist()) for copy in copies}) == 4
    for number, copy in enumerate(copies):
        assert torch.equal(batches.copy(torch.arange(3), number), copy)
        assert torch.equal(batches.copy(torch.tensor([2, 0]), number), copy[[2, 0]])


def test_the_file_holds_the_maps_of_every_copy_in_half_precision(tmp_path: Path) -> None:
    recipe = recipe_of({"flips": ["vertical"], "gain": 0.1})
    representation, batches = opened(recipe, tmp_path)
    kept = np.load(tmp_path / "features.npy")
    assert (kept.shape, kept.dtype) == ((4, 5, 4, 8, 9), np.float16)
    for number, maps in enumerate(kept):
        assert close(torch.from_numpy(maps).float(), representation(batches.images.copy(torch.arange(5), number)))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_file_is_read_again_and_not_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of({"flips": ["vertical"]})
    representation, first = opened(recipe, tmp_path)
    monkeypatch.setattr(features, "_write", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(Representation, "forward", lambda *_: pytest.fail("computed again"))
    again = open_features(representation, first.images, recipe, tmp_path / "features.npy")
    assert torch.equal(again.views(100)[0], first.views(100)[0])


def test_what_a_kill_leaves_of_the_file_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / ".features.npy.partial").write_bytes(b"half")
    _, batches = opened(recipe_of({}), tmp_path)
    assert batches.maps.shape == (1, 5, 4, 8, 9)


def test_a_batch_follows_the_order_of_images_and_draws_a_copy_of_each(tmp_path: Path) -> None:
    _, batches = opened(recipe_of({"flips": ["vertical"]}), tmp_path)
    order = batches.images.order("gan", 3, 40).tolist()
    taken = batches.take("gan", 3, 40, random_for(0, "gan"))
    assert taken.shape == (40, 4, 8, 9)
    kept, copies = torch.from_numpy(np.array(batches.maps)).float(), []
    for index, values in zip(order, taken, strict=True):
        copies += [number for number in (0, 1) if torch.equal(values, kept[number, index])]
    assert len(copies) == 40
    assert 8 < sum(copies) < 32
    assert torch.equal(batches.take("gan", 3, 40, random_for(0, "gan")), taken)
    assert not torch.equal(batches.take("gan", 3, 40, random_for(1, "gan")), taken)


def test_views_are_all_copies_and_say_which_image_each_shows(tmp_path: Path) -> None:
    representation, batches = opened(recipe_of({"flips": ["vertical"]}), tmp_path)
    maps, groups = batches.views(100)
    assert len(maps) == 10
    assert sorted(groups[:5].tolist()) == list(range(5))
    assert groups[:5].tolist() == groups[5:].tolist()
    assert close(maps[:5], representation(batches.images.copy(groups[:5], 0)))
    assert close(maps[5:], representation(batches.images.copy(groups[5:], 1)))
    for most, expected in ((7, 6), (2, 2), (1, 2)):
        assert len(batches.views(most)[0]) == expected


def test_pairs_are_maps_and_the_images_that_they_are_of(tmp_path: Path) -> None:
    representation, batches = opened(recipe_of({"flips": ["vertical"]}), tmp_path)
    maps, images = batches.pairs(3)
    assert (len(maps), images.shape) == (3, (3, 1, *SIZE_HW))
    assert close(maps, representation(images))


def test_patches_have_maps_of_their_own(tmp_path: Path) -> None:
    recipe = recipe_of({"patches_per_image": 3})
    images = [texture(np.random.default_rng(seed), (100, 120))[..., None] for seed in range(2)]
    patches = Batches(images, SIZE_HW, recipe.data, 0)
    representation = Representation(recipe)
    prepare_representation(representation, patches, recipe, tmp_path / "representation.safetensors")
    batches = open_features(representation, patches, recipe, tmp_path / "features.npy")
    assert (batches.epoch_length, batches.maps.shape[1]) == (6, 6)
    kept = torch.from_numpy(np.array(batches.maps[0])).float()
    assert close(kept, representation(patches.copy(torch.arange(6), 0)))


def test_a_finished_run_keeps_the_backbone_and_no_maps(features_run: Path) -> None:
    names = {path.name for path in features_run.iterdir()}
    assert {"config.yaml", "run.json", "representation.safetensors", "weights.safetensors"} <= names
    assert names.isdisjoint({"features.npy", "checkpoint.safetensors"})
    kept, weights = (load_file(features_run / f"{name}.safetensors") for name in ("representation", "weights"))
    assert all(torch.equal(weights[f"representation.{name}"], values) for name, values in kept.items())


def train(out: Path, source: Path) -> Path:
    steps = ["training.gan.steps=4", "training.encoder.steps=2", "training.gan.critic_steps=1"]
    steps += ["training.gan.batch_size=4", "training.encoder.batch_size=4", "training.gan.average=0.9"]
    varied = ["data.flips=[horizontal]", "training.gan.anchor_weight=10", "choice.latent_sizes=[0,3]"]
    return train_system("fanogan", out, source, *FEATURE_SPACE, *WEIGHED, *steps, *varied)


def interrupted(out: Path, source: Path, step: int) -> Path:
    original, taken = GanStage.step, []

    def interrupting(self: GanStage, *arguments: Any) -> dict[str, Tensor]:
        taken.append(1)
        if len(taken) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GanStage, "step", interrupting)
        with pytest.raises(KeyboardInterrupt):
            train(out, source)
    return out


def test_an_interrupted_run_goes_on_to_the_same_weights(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_file(train(tmp_path / "whole", mvtec_folder) / "weights.safetensors")
    broken = interrupted(tmp_path / "broken", mvtec_folder, 2)
    assert np.load(broken / "features.npy").shape == (2, 16, 24, 8, 8)
    monkeypatch.setattr(features, "_write", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr("ganspect.train.fit.choose", lambda *_: pytest.fail("chosen again"))
    gone_on = load_file(train(broken, mvtec_folder) / "weights.safetensors")
    assert whole.keys() == gone_on.keys()
    assert all(torch.equal(whole[name], gone_on[name]) for name in whole)
    assert not (broken / "features.npy").exists()


def test_images_that_changed_since_the_run_began_are_noticed(tmp_path: Path) -> None:
    source = make_mvtec_folder(tmp_path / "data")
    run = interrupted(tmp_path / "run", source, 1)
    (source / "train/good/003.png").unlink()
    with pytest.raises(RunError, match=r"changed since the run in .+ began"):
        train(run, source)


def test_images_fewer_than_the_channels_of_a_place_are_said(
    tmp_path: Path, mvtec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_system("linear", tmp_path / "run", mvtec_folder, *FEATURE_SPACE, "score.weighing=place")
    said = " ".join("".join(capsys.readouterr()).split())
    assert "16 training images are too few to know how the 24 channels of each place vary together" in said
    train_system("linear", tmp_path / "pooled", mvtec_folder, *FEATURE_SPACE, "score.weighing=pooled")
    assert "are too few" not in "".join(capsys.readouterr())


def test_what_was_chosen_is_printed(tmp_path: Path, mvtec_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_system("linear", tmp_path / "run", mvtec_folder, *FEATURE_SPACE, "choice.latent_sizes=[4]")
    said = " ".join(capsys.readouterr().out.split())
    assert "chosen by 64 defects drawn on normal images: network.latent_size=4, score.weighing=" in said
    assert "(the best of 6, AUROC 0." in said


def test_a_run_that_was_stopped_before_it_began_can_be_begun_again(
    tmp_path: Path, mvtec_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ganspect.train.fit.choose", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_system("linear", tmp_path / "run", mvtec_folder, *FEATURE_SPACE, "choice.latent_sizes=[4]")
    assert "interrupted; run the same command again and it goes on" in capsys.readouterr().err
    assert (tmp_path / "run/features.npy").exists()
    train_system("linear", tmp_path / "run", mvtec_folder, *FEATURE_SPACE, "choice.latent_sizes=[4]")
    assert (tmp_path / "run/weights.safetensors").exists()


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    recipe = recipe_of({})
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device; free some space"):
        opened(recipe, tmp_path)
    assert not (tmp_path / "features.npy").exists()


def test_patches_of_one_image_are_of_one_image() -> None:
    recipe = recipe_of({"patches_per_image": 3})
    images = images_of(recipe, 5)
    rows, index = images.views(100)
    assert len(rows) == 15
    assert sorted(images.image_of(index).tolist()) == sorted([*range(5)] * 3)
    assert torch.equal(rows, images.copy(index, 0))
