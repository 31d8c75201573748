import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganspect.train.bottleneck import BottleneckStage
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

IMAGES = images(BATCH)


def stage(system: System | None = None, precision: str = "fp32", **settings: object) -> BottleneckStage:
    made = make(system or tiny("ganomaly"), {"learning_rate": 1e-3, **settings}, precision)  # type: ignore[arg-type]
    assert isinstance(made, BottleneckStage)
    return made


def step(made: BottleneckStage) -> dict[str, Tensor]:
    return made.step(IMAGES, torch.Generator().manual_seed(7), 0.0)


class Expected:
    """What a step computes, by copies of the networks as they are before it."""

    def __init__(self, made: BottleneckStage) -> None:
        networks = (made.encoder, made.generator, made.second_encoder, made.features, made.head)
        self.networks = copy.deepcopy(nn.ModuleList(networks))
        self.encoder, self.generator, self.second_encoder, self.features, self.head = self.networks
        self.codes = self.encoder(IMAGES)
        self.reconstructions = self.generator(self.codes)

    def discriminator(self) -> Tensor:
        real, fake = (self.head(self.features(batch)) for batch in (IMAGES, self.reconstructions.detach()))
        cross_entropy = functional.binary_cross_entropy_with_logits
        return cross_entropy(real, torch.ones(BATCH)) + cross_entropy(fake, torch.zeros(BATCH))

    def terms(self, adversarial: str, contextual: str) -> dict[str, Tensor]:
        found, seen = self.reconstructions, self.features(self.reconstructions)
        if adversarial == "features":
            of_discriminator = functional.mse_loss(seen, self.features(IMAGES))
        else:
            of_discriminator = -torch.log(torch.sigmoid(self.head(seen))).mean()
        distance = functional.l1_loss if contextual == "absolute" else functional.mse_loss
        return {
            "adversarial": of_discriminator,
            "contextual": distance(found, IMAGES),
            "encoder": functional.mse_loss(self.codes, self.second_encoder(found)),
        }


@pytest.mark.parametrize("contextual", ["absolute", "squared"])
@pytest.mark.parametrize("adversarial", ["features", "cross_entropy"])
def test_the_three_losses_by_their_formulas_and_weights(adversarial: str, contextual: str) -> None:
    weights = {"adversarial": 2.0, "contextual": 30.0, "encoder": 4.0}
    settings = {f"{name}_weight": weight for name, weight in weights.items()}
    made = stage(adversarial=adversarial, contextual=contextual, **settings)
    expected = Expected(made)
    terms = expected.terms(adversarial, contextual)
    with moving_only(made, "generator"):
        losses = step(made)
    for name, term in terms.items():
        assert losses[name].item() == pytest.approx(term.item(), rel=1e-5)
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    mine = [p for network in expected.networks[:3] for p in network.parameters()]
    theirs = [g for network in (made.encoder, made.generator, made.second_encoder) for g in gradients(network)]
    for slope, found in zip(torch.autograd.grad(total, mine), theirs, strict=True):
        torch.testing.assert_close(found, slope, atol=1e-5, rtol=1e-3)


def test_the_discriminator_learns_images_from_reconstructions() -> None:
    made = stage()
    loss = Expected(made).discriminator()
    losses = step(made)
    assert list(losses) == ["discriminator", "adversarial", "contextual", "encoder"]
    assert losses["discriminator"].item() == pytest.approx(loss.item(), rel=1e-5)


def test_r1_is_at_the_images_and_weighed_in() -> None:
    made = stage(r1_weight=5.0)
    expected = Expected(made)
    penalty = r1_penalty(lambda batch: expected.head(expected.features(batch)), IMAGES)
    (slope,) = torch.autograd.grad(
        expected.discriminator() + 5 * penalty, [expected.head.get_parameter("layers.1.weight")]
    )
    losses = step(made)
    assert losses["r1"].item() == pytest.approx(penalty.item(), rel=1e-4)
    torch.testing.assert_close(made.head.get_parameter("layers.1.weight").grad, slope, atol=1e-6, rtol=1e-3)


def test_each_side_stands_still_while_the_other_moves() -> None:
    for moving, still in (("generator", "discriminator"), ("discriminator", "generator")):
        made = stage()
        autoencoder = (made.encoder, made.generator, made.second_encoder)
        sides = {"generator": autoencoder, "discriminator": (made.features, made.head)}
        before = {name: [parameters(network) for network in networks] for name, networks in sides.items()}
        with moving_only(made, moving):
            step(made)
        after = {name: [parameters(network) for network in networks] for name, networks in sides.items()}
        assert all(equal(*pair) for pair in zip(before[still], after[still], strict=True))
        assert not any(equal(*pair) for pair in zip(before[moving], after[moving], strict=True))
        assert all(parameter.requires_grad for parameter in made.features.parameters())


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_the_systems_own_networks_follow_buffers_too(average: float) -> None:
    system = tiny("ganomaly")
    before = state(system)
    made = stage(system, average=average)
    step(made)
    after, share = state(system), 1 - 1 / 11 if average else 1.0
    for network in ("encoder", "generator", "second_encoder"):
        for key, new in made.modules[network].state_dict().items():
            name = f"0.{network}.{key}"
            expected = torch.lerp(before[name], new, share) if new.is_floating_point() else new
            torch.testing.assert_close(after[name], expected)
            assert key.endswith("tracked") or not torch.equal(before[name], after[name])


def test_mean_and_deviation_of_the_codes_are_followed() -> None:
    system = tiny("ganomaly")
    made = stage(system)
    codes: list[Tensor] = []
    made.encoder.register_forward_hook(lambda _module, _inputs, output: codes.append(output.detach()))
    for _ in range(3):
        step(made)
    means, deviations = (
        torch.stack(values) for values in zip(*[(c.mean(0), c.std(0, correction=0)) for c in codes], strict=True)
    )
    torch.testing.assert_close(system.latent_mean, means.mean(0))
    torch.testing.assert_close(system.latent_deviation, deviations.mean(0))


def test_later_codes_count_for_more_than_those_of_the_first_steps() -> None:
    system = tiny("ganomaly")
    made = stage(system)
    made.average.updates.fill_(5000)
    made._follow(torch.full((2, 6), 10.0))
    torch.testing.assert_close(system.latent_mean, torch.full((6,), 0.1))
    torch.testing.assert_close(system.latent_deviation, torch.full((6,), 0.99))


def test_looking_changes_nothing() -> None:
    system = tiny("ganomaly")
    made = stage(system)
    random = torch.Generator().manual_seed(3)
    assert without_a_trace(made, system, lambda: made.check(IMAGES, random))
    assert without_a_trace(made, system, lambda: made.preview(IMAGES, random))
    assert list(made.check(IMAGES, random)) == list(FIGURES)
    shown = made.preview(IMAGES, random)
    assert torch.equal(shown[::2], IMAGES)
    torch.testing.assert_close(shown[1::2], system.generator(system.encode(IMAGES)))


def test_the_discriminator_is_frozen_at_the_end() -> None:
    system = tiny("ganomaly")
    made = stage(system)
    assert system.features.training
    made.finish()
    assert not system.features.training
    assert all(not parameter.requires_grad for parameter in system.parameters())


def test_in_bf16_losses_are_fp32_and_near_those_in_fp32() -> None:
    full, half = (step(stage(precision=precision, r1_weight=1.0)) for precision in ("fp32", "bf16"))
    assert list(half) == ["discriminator", "r1", "adversarial", "contextual", "encoder"]
    assert all(loss.dtype == torch.float32 for loss in half.values())
    for name in ("discriminator", "contextual", "r1"):
        assert half[name].item() == pytest.approx(full[name].item(), rel=0.05)
