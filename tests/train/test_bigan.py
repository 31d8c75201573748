import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganspect.train.bigan import BiganStage
from ganspect.train.health import FIGURES
from ganspect.train.losses import r1_penalty
from ganspect.train.system import System
from tests.train.stages import (
    BATCH,
    equal,
    gradients,
    images,
    make,
    moving_only,
    parameters,
    state,
    tiny,
    without_a_trace,
)

IMAGES = images(2 * BATCH)


def stage(system: System | None = None, precision: str = "fp32", **settings: object) -> BiganStage:
    made = make(system or tiny("egbad"), {"learning_rate": 1e-3, **settings}, precision)  # type: ignore[arg-type]
    assert isinstance(made, BiganStage)
    return made


def random() -> torch.Generator:
    return torch.Generator().manual_seed(7)


class Expected:
    """The losses of a step's first half, from copies of the networks as they were before it."""

    def __init__(self, made: BiganStage) -> None:
        networks = (made.encoder, made.generator, made.features, made.head)
        self.encoder, self.generator, self.features, self.head = copy.deepcopy(nn.ModuleList(networks))
        numbers = random()
        torch.randint(2**62, (), generator=numbers)  # dropout's seed
        self.first, self.second = (made.system.draw_latents(BATCH, numbers) for _ in range(2))

    def logits(self, image: Tensor, latent: Tensor) -> Tensor:
        return self.head(self.features(image, latent))

    def discriminator(self) -> Tensor:
        """-E log D(x, E(x)) - E log(1 - D(G(z), z)) (EGBAD, section 3)."""
        image = IMAGES[:BATCH]
        real = torch.sigmoid(self.logits(image, self.encoder(image)))
        fake = torch.sigmoid(self.logits(self.generator(self.first), self.first))
        return -torch.log(real).mean() - torch.log(1 - fake).mean()

    def others(self) -> tuple[Tensor, Tensor]:
        """-E log D(G(z), z) of the generator, -E log(1 - D(x, E(x))) of the encoder, not saturating."""
        image = IMAGES[BATCH:]
        real = self.logits(image, self.encoder(image))
        fake = self.logits(self.generator(self.second), self.second)
        one, zero = torch.ones(BATCH), torch.zeros(BATCH)
        cross_entropy = functional.binary_cross_entropy_with_logits
        return cross_entropy(fake, one), cross_entropy(real, zero)


def test_the_discriminators_loss_is_the_papers() -> None:
    made = stage()
    expected = Expected(made).discriminator().item()
    assert made.step(IMAGES, random(), 0.0)["discriminator"].item() == pytest.approx(expected, rel=1e-5)


def test_generator_and_encoder_have_the_opposite_aim() -> None:
    made = stage(reconstruction_weight=3.0)
    expected = Expected(made)
    expected.discriminator()  # moves batch norm's statistics, as the step does
    with moving_only(made, "generator"):
        losses = made.step(IMAGES, random(), 0.0)
    generator, encoder = expected.others()
    assert losses["generator"].item() == pytest.approx(generator.item(), rel=1e-5)
    assert losses["encoder"].item() == pytest.approx(encoder.item(), rel=1e-5)
    image = IMAGES[BATCH:]
    residual = (expected.generator(expected.encoder(image)) - image).abs().mean()
    assert losses["residual"].item() == pytest.approx(residual.item(), rel=1e-5)
    total = generator + encoder + 3 * residual
    for mine, theirs in ((expected.generator, made.generator), (expected.encoder, made.encoder)):
        slopes = torch.autograd.grad(total, list(mine.parameters()), retain_graph=True)
        for slope, found in zip(slopes, gradients(theirs), strict=True):
            torch.testing.assert_close(found, slope, atol=1e-6, rtol=1e-3)


def test_without_a_weight_there_is_no_residual() -> None:
    assert list(stage().step(IMAGES, random(), 0.0)) == ["discriminator", "generator", "encoder"]


def test_r1_is_of_the_image_alone_and_weighed_in() -> None:
    made = stage(r1_weight=5.0)
    expected = Expected(made)
    image, loss = IMAGES[:BATCH], expected.discriminator()
    encoded = Expected(made).encoder(image).detach()
    penalty = r1_penalty(lambda real: expected.logits(real, encoded), image)
    with moving_only(made, "nothing"):
        losses = made.step(IMAGES, random(), 0.0)
    assert losses["r1"].item() == pytest.approx(penalty.item(), rel=1e-4)
    assert losses["discriminator"].item() == pytest.approx(loss.item(), rel=1e-5)
    (slope,) = torch.autograd.grad(loss + 5 * penalty, [expected.head.weight])
    torch.testing.assert_close(made.head.get_parameter("weight").grad, slope, atol=1e-6, rtol=1e-3)


def test_each_side_stands_still_while_the_other_moves() -> None:
    for moving, still in (("generator", "discriminator"), ("discriminator", "generator")):
        made = stage()
        sides = {"generator": (made.generator, made.encoder), "discriminator": (made.features, made.head)}
        before = {name: [parameters(network) for network in networks] for name, networks in sides.items()}
        with moving_only(made, moving):
            made.step(IMAGES, random(), 0.0)
        after = {name: [parameters(network) for network in networks] for name, networks in sides.items()}
        assert all(equal(*pair) for pair in zip(before[still], after[still], strict=True))
        assert not any(equal(*pair) for pair in zip(before[moving], after[moving], strict=True))


def test_the_generators_loss_leaves_the_discriminator_no_gradient() -> None:
    made = stage()
    made.step(IMAGES, random(), 0.0)
    kept = [gradient.clone() for gradient in gradients(made.features) if gradient is not None]
    made._step_generator(IMAGES[BATCH:], random())
    after = [gradient for gradient in gradients(made.features) if gradient is not None]
    assert all(torch.equal(one, other) for one, other in zip(kept, after, strict=True))
    assert all(parameter.requires_grad for parameter in made.features.parameters())


def test_the_systems_own_networks_are_averages_buffers_too() -> None:
    system = tiny("egbad")
    before = state(system)
    made = stage(system, average=0.5)
    made.step(IMAGES, random(), 0.0)
    names = ("generator", "encoder", "features", "head")
    trained = {f"0.{name}.{key}": value for name in names for key, value in made.modules[name].state_dict().items()}
    share = 1 - 1 / 11  # the first update's, whose decay is still 1/11
    after = state(system)
    for name, value in trained.items():
        expected = torch.lerp(before[name], value, share) if value.is_floating_point() else value
        torch.testing.assert_close(after[name], expected)
    moved = [name for name in trained if name.endswith("running_var") and not torch.equal(before[name], after[name])]
    assert len(moved) >= 4
    assert not system.features.training
    assert all(not parameter.requires_grad for parameter in system.parameters())


def test_looking_changes_nothing() -> None:
    system = tiny("egbad", {"dropout": 0.5})
    made = stage(system)
    assert without_a_trace(made, system, lambda: made.check(IMAGES[:BATCH], random()))
    assert without_a_trace(made, system, lambda: made.preview(IMAGES, random()))
    assert list(made.check(IMAGES[:BATCH], random())) == list(FIGURES)
    assert made.preview(images(64), random()).shape == (64, 1, 28, 28)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_depends_on_its_own_numbers_alone(dropout: float) -> None:
    found = []
    for seed in (1, 2):
        system = tiny("egbad", {"dropout": dropout})
        made = stage(system)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        made.step(IMAGES, random(), 0.0)
        assert torch.equal(before, torch.get_rng_state())
        found.append(state(system, *made.modules.values()))
    assert equal(*found)


def test_another_steps_dropout_is_another() -> None:
    made = stage(tiny("egbad", {"dropout": 0.5}))
    masks: list[Tensor] = []
    made.features.dropout.register_forward_hook(lambda _m, _i, output: masks.append(output == 0))
    made._step_generator(IMAGES[BATCH:], random())
    first = masks[2]
    for seed in (7, 8):
        masks.clear()
        made.step(IMAGES, torch.Generator().manual_seed(seed), 0.0)
        assert not torch.equal(masks[2], first)
        assert not torch.equal(masks[2], masks[5])  # x and G(z) have masks of their own
        first = masks[2]


def test_in_bf16_losses_are_fp32_and_near_those_in_fp32() -> None:
    settings = {"reconstruction_weight": 1.0, "r1_weight": 1.0}
    full, half = (stage(precision=precision, **settings).step(IMAGES, random(), 0.0) for precision in ("fp32", "bf16"))
    assert list(half) == ["discriminator", "r1", "generator", "encoder", "residual"]
    assert all(loss.dtype == torch.float32 for loss in half.values())
    for name, loss in full.items():
        assert half[name].item() == pytest.approx(loss.item(), rel=0.05)
    assert half["r1"].item() != 0


def test_the_rate_follows_the_schedule() -> None:
    made = stage(schedule="cosine")
    made.step(IMAGES, random(), 0.999)
    rates = {group["lr"] for optimizer in made.optimizers.values() for group in optimizer.param_groups}
    assert all(rate < 2e-4 for rate in rates)
