from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganspect.errors import ConfigError
from ganspect.scoring import SCORES
from ganspect.train.bottleneck import BottleneckStage
from ganspect.train.run import load_run
from ganspect.train.systems import parse_recipe
from tests.conftest import train_system
from tests.train.stages import images, tiny

OVERRIDES = (
    "image.size_hw=[28,36]", "data.shift_px=2", "training.bottleneck.steps=7", "training.bottleneck.batch_size=4",
    "training.bottleneck.r1_weight=1", "training.bottleneck.average=0.9", "training.bottleneck.schedule=cosine",
    "training.checkpoint_every=3", "training.log_every=2",
)  # fmt: skip


def train(out: Path, source: Path, *overrides: str) -> Path:
    return train_system("ganomaly", out, source, *OVERRIDES, *overrides)


def test_killed_runs_go_on_to_the_same_weights_the_codes_statistics_included(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = BottleneckStage.step, []

    def killed(self: BottleneckStage, *arguments: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)  # type: ignore[arg-type]

    train(tmp_path / "whole", mvtec_folder)
    monkeypatch.setattr(BottleneckStage, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", mvtec_folder)
    train(tmp_path / "broken", mvtec_folder)
    assert len(taken) == 5 + 4  # the checkpoint is of step 3
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "broken"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)

    system = load_run(tmp_path / "broken").system
    assert torch.equal(system.latent_mean, first["latent_mean"])
    assert system.latent_mean.abs().min() > 0
    assert (system.latent_deviation != 1).all()
    drawn = system.draw_latents(4000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.std(0), system.latent_deviation, rtol=0.1, atol=0)


def test_a_linear_path_begins_in_all_three_networks(mvtec_folder: Path, tmp_path: Path) -> None:
    run = train(tmp_path / "run", mvtec_folder, "network.linear_path=true", "training.bottleneck.learning_rate=1e-9",
                "training.bottleneck.average=0", "training.bottleneck.steps=2")  # fmt: skip
    system, shown = load_run(run).system, images(3, 1, (28, 36))
    latent = system.encode(shown)
    torch.testing.assert_close(system.get_submodule("second_encoder")(shown), latent, atol=1e-3, rtol=1e-3)
    assert latent.abs().max() > 0.1


@pytest.mark.parametrize(
    ("network", "channels", "size_hw"),
    [
        ({}, 3, (28, 41)),
        ({"feature_levels": 1}, 1, (64, 40)),
        ({"linear_path": True}, 3, (32, 36)),
        ({}, 1, (128, 128)),
    ],
)
def test_images_of_any_size(network: dict[str, object], channels: int, size_hw: tuple[int, int]) -> None:
    system, shown = tiny("ganomaly", network, channels, size_hw), images(2, channels, size_hw)
    latent = system.encode(shown)
    assert latent.shape == (2, 6)
    assert system.generator(latent).shape == shown.shape
    seen = system.see(shown, None)
    assert seen.features is not None
    assert seen.logit is not None
    assert seen.code is not None
    assert (len(seen.features), seen.logit.shape, seen.code.shape) == (2, (2,), (2, 6))


def test_the_papers_score_is_between_the_codes_before_and_after() -> None:
    system, shown = tiny("ganomaly"), images(3)
    before = system.encode(shown)
    difference = before - system.get_submodule("second_encoder")(system.generator(before))
    torch.testing.assert_close(system.encoder_score(shown), difference.abs().sum(1))
    match = system.match(shown, before)
    torch.testing.assert_close(SCORES["ganomaly_code"].of(match), difference.square().mean(1))


def test_elsewhere_in_the_search_the_code_of_the_image_stays() -> None:
    system, shown, latent = tiny("ganomaly"), images(3), torch.randn(3, 6)
    difference = system.encode(shown) - system.get_submodule("second_encoder")(system.generator(latent))
    torch.testing.assert_close(SCORES["ganomaly"].of(system.match(shown, latent)), difference.abs().sum(1))


def test_the_papers_settings_are_the_defaults() -> None:
    recipe = parse_recipe({"system": "ganomaly"}, Path("a.yaml")).model_dump()
    stage = recipe["training"]["bottleneck"]
    assert [stage[f"{name}_weight"] for name in ("adversarial", "contextual", "encoder")] == [1, 50, 1]
    assert (stage["learning_rate"], stage["beta1"], stage["beta2"], stage["batch_size"]) == (2e-4, 0.5, 0.999, 64)
    assert (stage["adversarial"], stage["contextual"], stage["average"]) == ("features", "absolute", 0)
    assert recipe["network"]["latent_size"] == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"training": {"bottleneck": {"contextual": "l2"}}}, "input should be 'squared' or 'absolute' (given: 'l2')"),
        ({"training": {"bottleneck": {"adversarial": "hinge"}}}, "input should be 'features' or 'cross_entropy'"),
        (
            {"training": {"bottleneck": {"encoder_weight": -1}}},
            "input should be greater than or equal to 0 (given: -1)",
        ),
        ({"network": {"latent_size": 4096}}, "'network.latent_size': input should be less than or equal to 2048"),
        ({"score": {"encoder": "fanogam"}}, "unknown score 'fanogam'; expected one of"),
        ({"system": "ganomalie"}, "there is no system 'ganomalie'; did you mean 'ganomaly'?"),
        ({"system": "fanogan", "score": {"encoder": "ganomaly"}}, "score.encoder is 'ganomaly', which fanogan cannot"),
        ({"system": "fanogan", "search": {"discrimination": "fooling"}}, "fanogan has no discriminator to fool"),
        ({"system": "anogan", "score": {"search": "ganomaly_code"}}, "'ganomaly_code', which anogan cannot compute"),
        ({"system": "fanogan", "score": {"search": "egbad_cross_entropy"}}, "which fanogan cannot compute; choose one"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe({"system": "ganomaly", **content}, Path("a.yaml"))
    sentence = str(caught.value)
    assert sentence.startswith("a.yaml: ")
    assert message in sentence
    assert "\n" not in sentence
