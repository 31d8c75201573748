import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.errors import ConfigError
from ganspect.train.latents import LatentLayout
from ganspect.train.linear_path import LinearPath, start_at_pca
from ganspect.train.networks import Encoder, Generator, Pyramid

PYRAMID = Pyramid((28, 28), 1, 4)


def low_rank_images(count: int, rank: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    directions = torch.randn((rank, 28 * 28), generator=random) / 28
    return (torch.randn((count, rank), generator=random) @ directions).reshape(count, 1, 28, 28) * 0.2 + 0.1


def started(images: Tensor, latent_size: int) -> tuple[Generator, Encoder, Tensor]:
    torch.manual_seed(0)
    latent = LatentLayout.vector(latent_size, (1, 28, 28))
    generator, encoder = (kind(PYRAMID, latent, linear_path=True) for kind in (Generator, Encoder))
    return generator, encoder, start_at_pca(generator, encoder, images)


def test_linear_paths_start_as_a_pca_that_reproduces_what_it_spans() -> None:
    images = low_rank_images(40, 6)
    generator, encoder, deviations = started(images, 6)
    with torch.no_grad():
        latents = encoder(images)
        assert torch.allclose(generator.linear(latents), images.flatten(1), atol=1e-4)
        variances = latents.T @ latents / 40
        assert torch.allclose(variances, torch.diag(deviations**2), atol=1e-3 * deviations.max().item() ** 2)
        assert torch.allclose(generator.linear.weight.norm(dim=0), deviations, rtol=1e-3)


def test_fewer_images_than_latents_leave_the_other_latents_still() -> None:
    generator, encoder, deviations = started(low_rank_images(9, 20), 16)
    assert deviations[8:].tolist() == [1.0] * 8
    assert torch.isfinite(encoder.linear.weight).all()
    assert (generator.linear.weight.abs().sum(0) > 0).sum() == 8
    with torch.no_grad():
        assert encoder(low_rank_images(9, 20))[:, 8:].abs().max() == 0


def test_the_path_is_exact_under_autocast() -> None:
    path = LinearPath(8, 4)
    values = torch.randn((3, 8), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(path(values), path(values.clone()))
        inside = path(values)
    assert inside.dtype == torch.float32
    assert np.array_equal(inside.detach().numpy(), path(values).detach().numpy())


def test_networks_without_a_linear_path_cannot_start_so() -> None:
    latent = LatentLayout.vector(6, (1, 28, 28))
    with pytest.raises(ConfigError, match="linear_path"):
        start_at_pca(Generator(PYRAMID, latent), Encoder(PYRAMID, latent), low_rank_images(8, 2))
