import math

import pytest
import torch
from torch import Tensor

from ganspect.train.losses import GAN_LOSSES, gradient_penalty, r1_penalty

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.0])


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("wgan-gp", -1.0 - 1.25, 1.0),
        ("hinge", 0.25 + 0.5, 1.0),
        (
            "non-saturating",
            (math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-2)) + math.log(2)) / 2,
            (math.log1p(math.exp(2)) + math.log(2)) / 2,
        ),
    ],
)
def test_losses_by_hand(name: str, discriminator: float, generator: float) -> None:
    loss = GAN_LOSSES[name]  # type: ignore[index]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator)
    assert loss.generator(FAKE).item() == pytest.approx(generator)


def test_the_penalty_of_a_linear_critic_is_its_slope_from_one() -> None:
    def critic(image: Tensor) -> Tensor:
        return 3 * image[:, 0, 0, 0] + 4 * image[:, 0, 0, 1]

    real, fake = torch.ones((5, 1, 2, 2)), torch.zeros((5, 1, 2, 2))
    assert gradient_penalty(critic, real, fake, torch.rand((5, 1, 1, 1))).item() == pytest.approx(16.0)


def test_the_penalty_is_taken_between_real_and_generated_images() -> None:
    def critic(image: Tensor) -> Tensor:
        return (image**2).sum((1, 2, 3)) / 2

    real, fake = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 1.0)
    penalty = gradient_penalty(critic, real, fake, torch.full((1, 1, 1, 1), 0.25))
    assert penalty.item() == pytest.approx((1.5 - 1) ** 2)


def test_r1_of_a_linear_discriminator_is_half_its_squared_slope() -> None:
    def discriminator(image: Tensor) -> Tensor:
        return 3 * image[:, 0, 0, 0] + 4 * image[:, 0, 0, 1]

    assert r1_penalty(discriminator, torch.rand((5, 1, 2, 2))).item() == pytest.approx(12.5)


def test_r1_is_a_mean_over_real_images_and_has_a_gradient() -> None:
    slope = torch.tensor(2.0, requires_grad=True)

    def discriminator(image: Tensor) -> Tensor:
        return slope * (image**2).sum((1, 2, 3)) / 2

    real = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    penalty = r1_penalty(discriminator, real)
    assert penalty.item() == pytest.approx((2**2 + 6**2) / 2 / 2)
    (gradient,) = torch.autograd.grad(penalty, slope)
    assert gradient.item() == pytest.approx(2 * penalty.item() / 2)


def test_only_a_wasserstein_critic_does_not_classify() -> None:
    assert [name for name, loss in GAN_LOSSES.items() if not loss.classifies] == ["wgan-gp"]
