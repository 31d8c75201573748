import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganspect.errors import RunError
from ganspect.train.folder import RunFolder
from ganspect.train.gan import GanStage
from ganspect.train.health import RECENT_CHECKS, Health, diversity, judge, separation, untouched
from tests.conftest import train_tiny


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand((16, 1, 8, 8), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_generator_that_ignores_its_latent_has_no_diversity() -> None:
    generator = nn.Linear(4, 64)
    nn.init.zeros_(generator.weight)
    generated = generator(torch.randn((16, 4))).reshape(16, 1, 8, 8).detach()
    share = diversity(generated, images())
    assert share == 0
    (warning,) = judge({"gan": [{"diversity": share}]}).warnings
    assert warning.startswith("the generator of stage gan has collapsed or is hardly trained: its images vary 0 times")


def test_a_healthy_generator_varies_as_the_training_images_do() -> None:
    share = diversity(images(1), images())
    assert share == pytest.approx(1, abs=0.1)
    assert judge({"gan": [{"diversity": share}]}) == Health(stages={"gan": {"diversity": share}}, warnings=[])


def test_diversity_is_a_share_and_knows_no_brightness() -> None:
    assert diversity(0.25 * images() + 0.5, images()) == pytest.approx(0.25)


def test_diversity_is_of_each_pixel_over_the_batch_and_not_within_an_image() -> None:
    assert diversity(images()[:1].expand(16, 1, 8, 8), images()) == pytest.approx(0, abs=1e-6)


def test_images_that_do_not_vary_ask_no_diversity() -> None:
    assert diversity(images(), torch.zeros((4, 1, 8, 8))) == 1.0


def test_separation_by_hand() -> None:
    figures = separation(torch.tensor([2.0, -1.0, 0.0, 3.0]), torch.tensor([-2.0, -4.0]))
    assert figures == {"separated": 0.75, "logit_gap": 4.0}
    assert separation(torch.ones(3), torch.ones(3))["separated"] == 0.5


def checks(*separated: float) -> list[dict[str, float]]:
    return [{"diversity": 0.9, "separated": share, "logit_gap": 8.0} for share in separated]


def test_a_discriminator_that_is_always_right_is_saturated() -> None:
    health = judge({"bigan": checks(0.5, *[1.0] * RECENT_CHECKS)})
    (warning,) = health.warnings
    assert warning.startswith("the discriminator of stage bigan is saturated: in the last 10 checks it told every real")
    assert health.stages["bigan"] == {"diversity": 0.9, "separated": 1.0, "logit_gap": 8.0}


@pytest.mark.parametrize(
    "figures",
    [
        checks(*[1.0] * RECENT_CHECKS, 0.99),
        checks(0.99, *[1.0] * (RECENT_CHECKS - 1)),
        checks(*[1.0] * (RECENT_CHECKS - 1)),
        [{"diversity": 0.9}] * RECENT_CHECKS,  # a Wasserstein critic
    ],
)
def test_a_mistake_or_too_few_checks_are_no_saturation(figures: list[dict[str, float]]) -> None:
    assert judge({"gan": figures}).warnings == []


def test_only_the_last_diversity_counts() -> None:
    assert judge({"gan": [{"diversity": 0.01}, {"diversity": 0.8}]}).warnings == []
    assert len(judge({"gan": [{"diversity": 0.8}, {"diversity": 0.01}]}).warnings) == 1


def test_stages_without_checks_do_not_appear() -> None:
    assert judge({"encoder": []}) == Health()


def test_untouched_networks_keep_statistics_and_random_numbers() -> None:
    network = nn.Sequential(spectral_norm(nn.Linear(8, 8)), nn.BatchNorm1d(8), nn.Dropout()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    with untouched(network):
        output = network(torch.randn((16, 8)))
    assert not output.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    network(torch.randn((16, 8)))
    assert not torch.equal(network.state_dict()["1.running_mean"], before["1.running_mean"])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "weights.safetensors")


# Batch norm and spectral norm, whose buffers a check must not move.
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checks_do_not_change_the_training(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    overrides = ("training.gan.loss=hinge", "training.log_every=1", f"training.precision={precision}")
    checked = weights(train_tiny(tmp_path / "checked", mvtec_folder, *overrides, system="anogan", steps=6))
    monkeypatch.setattr(GanStage, "check", lambda *_: {})
    unchecked = weights(train_tiny(tmp_path / "unchecked", mvtec_folder, *overrides, system="anogan", steps=6))
    assert all(torch.equal(checked[name], unchecked[name]) for name in checked)


def test_a_training_writes_columns_and_health_and_says_what_is_wrong(
    mvtec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_tiny(tmp_path / "run", mvtec_folder, "training.log_every=2", system="anogan", steps=12)
    lines = (run / "log.csv").read_text().splitlines()
    assert lines[0] == "stage,step,images_per_s,discriminator,generator,diversity,separated,logit_gap"
    health = json.loads((run / "run.json").read_text())["health"]
    assert list(health["stages"]) == ["gan"]
    assert ",".join(f"{figure:.6g}" for figure in health["stages"]["gan"].values()) == lines[-1].split(",", 5)[-1]
    assert health["stages"]["gan"]["diversity"] < 0.1  # twelve steps are not enough
    (warning,) = (sentence for sentence in health["warnings"] if "has collapsed or is hardly trained" in sentence)
    assert f"warning: {warning}" in capsys.readouterr().out
    train_tiny(run, mvtec_folder, "training.log_every=2", system="anogan", steps=12)
    assert f"warning: {warning}" in capsys.readouterr().out


def test_a_saturated_discriminator_is_found_in_a_training(mvtec_folder: Path, tmp_path: Path) -> None:
    overrides = ("training.log_every=4", "training.gan.critic_steps=4", "training.gan.learning_rate=0.001")
    run = train_tiny(tmp_path / "run", mvtec_folder, *overrides, system="anogan", steps=40)
    health = json.loads((run / "run.json").read_text())["health"]
    assert health["stages"]["gan"]["separated"] == 1
    assert any("discriminator of stage gan is saturated" in sentence for sentence in health["warnings"])


def test_a_wasserstein_critic_is_not_asked_to_classify(tiny_run: Path) -> None:
    health = json.loads((tiny_run / "run.json").read_text())["health"]
    assert list(health["stages"]["gan"]) == ["diversity"]
    assert not any("saturated" in sentence for sentence in health["warnings"])


def test_a_collapsed_generator_is_found_in_a_training(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = GanStage.step

    def collapsing(self: GanStage, *arguments: object) -> dict[str, torch.Tensor]:
        nn.init.zeros_(self.generator.get_parameter("linear.weight"))
        nn.init.zeros_(self.generator.get_parameter("layers.0.weight"))
        return finished(self, *arguments)  # type: ignore[arg-type]

    overrides = ("network.linear_path=true", "training.gan.loss=hinge", "training.gan.critic_steps=1")
    healthy = train_tiny(tmp_path / "healthy", mvtec_folder, *overrides, steps=4)
    monkeypatch.setattr(GanStage, "step", collapsing)
    collapsed = train_tiny(tmp_path / "collapsed", mvtec_folder, *overrides, steps=4)
    assert json.loads((healthy / "run.json").read_text())["health"]["warnings"] == []
    (warning,) = json.loads((collapsed / "run.json").read_text())["health"]["warnings"]
    assert "the generator of stage gan has collapsed" in warning


def test_a_check_that_is_no_number(mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GanStage, "check", lambda *_: {"diversity": float("nan")})
    with pytest.raises(RunError, match=r"the diversity figure of stage gan is not a number any more at step 10; lower"):
        train_tiny(tmp_path / "run", mvtec_folder)
    record = RunFolder(tmp_path / "run").read_record()
    assert record is not None
    assert record.health == Health()


def test_a_record_of_before_has_no_health(tiny_run: Path, tmp_path: Path) -> None:
    record = json.loads((tiny_run / "run.json").read_text())
    del record["health"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    read = RunFolder(tmp_path).read_record()
    assert read is not None
    assert read.health == Health()


def test_a_record_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json is gone; delete .* and train again"):
        RunFolder(tmp_path).write_health(Health())
