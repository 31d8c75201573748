import pytest
import torch
from torch import nn

from ganspect.train.latents import LatentLayout
from ganspect.train.networks import Pyramid
from ganspect.train.pairs import (
    JOINT_SIZE,
    PairHead,
    fits_mnist,
    mnist_encoder,
    mnist_generator,
    mnist_pairs,
    pyramid_pairs,
)


def layers(network: nn.Module) -> list[tuple[int, ...]]:
    """Return (in, out[, kernel, stride]) of each convolution and linear layer."""
    found: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            found.append((module.in_channels, module.out_channels, module.kernel_size[0], module.stride[0]))
        elif isinstance(module, nn.Linear):
            found.append((module.in_features, module.out_features))
    return found


def kinds(network: nn.Module) -> list[str]:
    return [type(module).__name__ for module in network.modules() if not list(module.children())]


def test_the_authors_generator_layer_by_layer() -> None:
    generator = mnist_generator(200)
    assert layers(generator) == [(200, 1024), (1024, 7 * 7 * 128), (128, 64, 4, 2), (64, 1, 4, 2)]
    assert kinds(generator).count("ReLU") == 3
    assert kinds(generator)[-1] == "Tanh"
    assert generator(torch.randn(2, 200)).shape == (2, 1, 28, 28)


def test_the_authors_encoder_layer_by_layer() -> None:
    encoder = mnist_encoder(200)
    assert layers(encoder) == [(1, 32, 3, 1), (32, 64, 3, 2), (64, 128, 3, 2), (7 * 7 * 128, 200)]
    assert kinds(encoder)[:2] == ["Conv2d", "Conv2d"]
    assert encoder(torch.randn(2, 1, 28, 28)).shape == (2, 200)


def test_the_authors_discriminator_layer_by_layer() -> None:
    pairs = mnist_pairs(200, dropout=0.5)
    assert layers(pairs) == [(1, 64, 4, 2), (64, 64, 4, 2), (200, 512), (7 * 7 * 64 + 512, 1024)]
    assert pairs(torch.randn(2, 1, 28, 28), torch.randn(2, 200)).shape == (2, JOINT_SIZE)
    slopes = [module.negative_slope for module in pairs.modules() if isinstance(module, nn.LeakyReLU)]
    assert slopes == [0.1] * 4
    assert layers(PairHead()) == [(1024, 1)]


def test_the_authors_leave_out_activations_after_every_layer_of_the_discriminator() -> None:
    pairs, calls = mnist_pairs(6, dropout=0.5), []
    for module in pairs.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda _module, _inputs, output: calls.append(tuple(output.shape[1:])))
    pairs(torch.randn(2, 1, 28, 28), torch.randn(2, 6))
    assert calls == [(64, 14, 14), (64 * 49,), (512,), (1024,)]


@pytest.mark.parametrize(("channels", "size_hw"), [(1, (28, 28)), (3, (28, 41)), (1, (64, 40)), (3, (128, 128))])
def test_pairs_of_images_of_any_size(channels: int, size_hw: tuple[int, int]) -> None:
    pairs = pyramid_pairs(
        Pyramid(size_hw, channels, 4), LatentLayout.vector(6, (channels, *size_hw)), dropout=0.0
    ).eval()
    image, latent = torch.randn(2, channels, *size_hw), torch.randn(2, 6)
    features = pairs(image, latent)
    assert features.shape == (2, JOINT_SIZE)
    assert PairHead()(features).shape == (2,)
    assert not torch.equal(features, pairs(image, latent + 1))
    assert not torch.equal(features, pairs(image + 1, latent))


def test_dropout_is_for_training_only() -> None:
    pairs = pyramid_pairs(Pyramid((28, 28), 1, 4), LatentLayout.vector(6, (1, 28, 28)), dropout=0.5)
    image, latent = torch.randn(2, 1, 28, 28), torch.randn(2, 6)
    pairs.train()
    assert float((pairs(image, latent) == 0).float().mean()) == pytest.approx(0.5, abs=0.1)
    pairs.eval()
    assert torch.equal(pairs(image, latent), pairs(image, latent))
    assert not (pairs(image, latent) == 0).any()


@pytest.mark.parametrize(
    ("size_hw", "channels", "fits"), [((28, 28), 1, True), ((28, 28), 3, False), ((28, 32), 1, False)]
)
def test_what_the_authors_networks_take(size_hw: tuple[int, int], channels: int, fits: bool) -> None:
    assert fits_mnist(Pyramid(size_hw, channels, 4)) == fits
