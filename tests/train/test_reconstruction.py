import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ganspect.errors import ConfigError
from ganspect.train.compute import Compute, Precision
from ganspect.train.fanogan import Fanogan
from ganspect.train.reconstruction import ReconstructionStage, ReconstructionTraining
from ganspect.train.run import build_system, load_run
from ganspect.train.system import System
from ganspect.train.systems import parse_recipe
from tests.conftest import TINY_RECIPE, train_tiny

IMAGES = torch.rand((8, 1, 32, 32), generator=torch.Generator().manual_seed(1)) * 2 - 1
KAPPA = 0.3


class Forbidden(nn.Module):
    """A network that must not run."""

    def forward(self, image: Tensor) -> Tensor:
        raise AssertionError("this network must not run")


def tiny_system() -> System:
    return build_system(parse_recipe({"system": "fanogan", **TINY_RECIPE}, Path("a.yaml")), Fanogan).eval()


def stage(
    system: System, variant: str, distance: str = "squared", precision: Precision = "fp32"
) -> ReconstructionStage:
    content = {"steps": 2, "batch_size": 8, "variant": variant, "distance": distance, "feature_weight": KAPPA}
    system.requires_grad_(False)
    settings = ReconstructionTraining.model_validate(content)
    return ReconstructionStage(system, settings, Compute(torch.device("cpu"), precision))


def of(distance: str, values: Tensor) -> Tensor:
    return (values.abs() if distance == "absolute" else values.square()).mean()


def gradient(made: ReconstructionStage, loss: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, [made.encoder.get_parameter("layers.0.weight")])
    return found


def require_step(made: ReconstructionStage, expected: dict[str, Tensor], total: Tensor) -> None:
    """Take a step, and find the losses and their sum's gradient in it."""
    slope = gradient(made, total)
    losses = made.step(IMAGES, torch.Generator().manual_seed(5), 0.0)
    assert list(losses) == list(expected)
    for name, loss in expected.items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-5)
    descended = made.encoder.get_parameter("layers.0.weight").grad
    assert descended is not None
    torch.testing.assert_close(descended, slope)


@pytest.mark.parametrize("distance", ["squared", "absolute"])
def test_izi_f_by_its_formula(distance: str) -> None:
    system = tiny_system()
    made = stage(system, "izi_f", distance)
    found = system.generator(made.encoder(IMAGES))
    residual = of(distance, IMAGES - found)
    features = of(distance, system.features(IMAGES) - system.features(found))
    require_step(made, {"residual": residual, "features": features}, residual + KAPPA * features)


@pytest.mark.parametrize("distance", ["squared", "absolute"])
def test_izi_by_its_formula_and_without_features(distance: str) -> None:
    system = tiny_system()
    system.features = Forbidden()
    made = stage(system, "izi", distance)
    residual = of(distance, IMAGES - system.generator(made.encoder(IMAGES)))
    require_step(made, {"residual": residual}, residual)


@pytest.mark.parametrize("distance", ["squared", "absolute"])
def test_ziz_by_its_formula_and_without_images(distance: str) -> None:
    system = tiny_system()
    system.features = Forbidden()
    system.latent_deviation[3] = 2.0
    made = stage(system, "ziz", distance)
    latents = system.draw_latents(8, torch.Generator().manual_seed(5))
    latent = of(distance, latents - made.encoder(system.generator(latents)))
    require_step(made, {"latent": latent}, latent)


@pytest.mark.parametrize("variant", ["izi_f", "izi", "ziz"])
def test_in_bf16_losses_are_fp32(variant: str) -> None:
    losses = stage(tiny_system(), variant, precision="bf16").step(IMAGES, torch.Generator().manual_seed(5), 0.0)
    assert all(loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize(("variant", "columns"), [("izi", ["residual"]), ("ziz", ["latent"])])
def test_a_training_with_each_variant(
    tiny_run: Path, mvtec_folder: Path, tmp_path: Path, variant: str, columns: list[str]
) -> None:
    overrides = (f"training.encoder.variant={variant}", "training.encoder.learning_rate=0.002")
    run = train_tiny(tmp_path / "run", mvtec_folder, *overrides)
    header, *lines = (line.split(",") for line in (run / "log.csv").read_text().splitlines())
    assert header[7:] == columns
    means = [float(line[-1]) for line in lines if line[0] == "encoder"]
    assert means[-1] < means[0]
    assert json.loads((run / "run.json").read_text())["training"]["steps"]["encoder"] == 30
    one, other = (load_run(path).system for path in (run, tiny_run))
    assert all(torch.equal(a, b) for a, b in zip(one.generator.parameters(), other.generator.parameters(), strict=True))


def test_ziz_is_refused_where_the_generator_moves_too() -> None:
    content = {"system": "fanogan", "training": {"refine": {"variant": "ziz", "steps": 5}}}
    with pytest.raises(
        ConfigError,
        match=r"^a\.yaml: 'training\.refine': variant ziz would let generator and encoder collapse together; "
        "use izi or izi_f",
    ):
        parse_recipe(content, Path("a.yaml"))


def test_an_unknown_variant_is_refused() -> None:
    content = {"system": "fanogan", "training": {"encoder": {"variant": "iziz"}}}
    with pytest.raises(ConfigError, match=r"'training\.encoder\.variant': input should be 'izi_f', 'izi' or 'ziz'"):
        parse_recipe(content, Path("a.yaml"))
