from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganspect.errors import ConfigError
from ganspect.train.compute import Compute
from ganspect.train.fanogan import Fanogan
from ganspect.train.gan import GanStage, GanTraining
from ganspect.train.run import build_system
from ganspect.train.seeds import seeded
from ganspect.train.systems import parse_recipe
from tests.conftest import TINY_RECIPE, train_tiny


def settings(**given: object) -> GanTraining:
    content = {"steps": 2, "batch_size": 8, "loss": "hinge", "learning_rate": 1e-3, "beta1": 0.5, "beta2": 0.9}
    return GanTraining.model_validate(content | given)


def stage(precision: str = "fp32", **given: object) -> GanStage:
    recipe = parse_recipe({"system": "fanogan", **TINY_RECIPE}, Path("a.yaml"))
    system = build_system(recipe, Fanogan)
    assert isinstance(system, Fanogan)
    compute = Compute(torch.device("cpu"), precision)  # type: ignore[arg-type]
    with seeded(0, "stage"):
        return GanStage(system, system.head, settings(**given), compute)


def take_step(made: GanStage) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return made.step(torch.rand((8, 1, 32, 32), generator=random) * 2 - 1, random, 0.0)


@pytest.mark.parametrize(
    ("loss", "asked", "normed"),
    [
        ("hinge", None, True),
        ("hinge", False, False),
        ("non-saturating", None, False),
        ("non-saturating", True, True),
        ("wgan-gp", None, False),
        ("wgan-gp", True, True),
    ],
)
def test_spectral_norm_is_the_losss_unless_it_is_asked_for(loss: str, asked: bool | None, normed: bool) -> None:
    made = stage(loss=loss, spectral_norm=asked)
    for _ in range(3):
        take_step(made)
    made.finish()
    norm = torch.linalg.matrix_norm(made.system.get_parameter("features.layers.2.weight").flatten(1), 2).item()
    assert (norm == pytest.approx(1, abs=0.2)) == normed


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_r1_is_logged_and_weighed_into_the_discriminators_loss(precision: str) -> None:
    without, light, heavy = (stage(precision, loss="non-saturating", r1_weight=weight) for weight in (0, 1e-6, 1e6))
    losses = [take_step(made) for made in (without, light, heavy)]
    assert ["r1" in loss for loss in losses] == [False, True, True]
    assert losses[1]["r1"].dtype == torch.float32
    gradients = [made.system.get_parameter("features.layers.0.weight").grad for made in (without, light, heavy)]
    assert all(gradient is not None for gradient in gradients)
    sizes = [float(gradient.norm()) for gradient in gradients if gradient is not None]
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-2)
    assert sizes[2] > 10 * sizes[0]


def test_r1_is_taken_in_fp32_whatever_the_precision() -> None:
    full, half = (
        float(take_step(stage(precision, loss="non-saturating", r1_weight=1))["r1"]) for precision in ("fp32", "bf16")
    )
    assert half == pytest.approx(full, rel=1e-5)


def test_r1_keeps_the_discriminator_flat_at_real_images() -> None:
    slopes = []
    for weight in (1e-6, 100.0):
        made = stage(loss="non-saturating", r1_weight=weight)
        slopes.append([float(take_step(made)["r1"]) for _ in range(30)][-1])
    assert slopes[1] < slopes[0] / 2


def test_r1_in_a_discriminator_with_batch_norm(mvtec_folder: Path, tmp_path: Path) -> None:
    run = train_tiny(tmp_path / "run", mvtec_folder, "training.gan.r1_weight=1", system="anogan", steps=3)
    assert ",discriminator,r1,generator," in (run / "log.csv").read_text().splitlines()[0]
    assert all(bool(value.isfinite().all()) for value in load_file(run / "weights.safetensors").values())


def test_r1_beside_the_penalty_of_wgan_gp_is_refused() -> None:
    content = {"system": "fanogan", "training": {"gan": {"r1_weight": 10}}}
    with pytest.raises(
        ConfigError,
        match=r"^a\.yaml: 'training\.gan': r1_weight beside the penalty of wgan-gp would be two gradient penalties; "
        r"set one of them to 0",
    ):
        parse_recipe(content, Path("a.yaml"))


def test_r1_in_place_of_the_penalty_of_wgan_gp() -> None:
    losses = take_step(stage(loss="wgan-gp", penalty_weight=0, r1_weight=10))
    assert "r1" in losses
    assert "penalty" not in losses


def test_a_negative_r1_weight_is_refused() -> None:
    content = {"system": "anogan", "training": {"gan": {"r1_weight": -1}}}
    with pytest.raises(ConfigError, match=r"training\.gan\.r1_weight.*greater than or equal to 0"):
        parse_recipe(content, Path("a.yaml"))
