import pytest
import torch
from torch import nn

from ganspect.train.latents import LatentLayout
from ganspect.train.networks import Encoder, Features, Generator, Head, Pyramid, initialise_as_dcgan

SIZES = [(28, 28), (32, 32), (33, 47), (64, 64), (96, 128), (128, 96), (192, 480), (256, 256)]


def vector(pyramid: Pyramid, size: int = 6) -> LatentLayout:
    return LatentLayout.vector(size, (pyramid.channels, *pyramid.size_hw))


def convolutions(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("linear_path", [False, True])
def test_every_size_goes_there_and_back(size_hw: tuple[int, int], channels: int, linear_path: bool) -> None:
    pyramid = Pyramid(size_hw, channels, 4)
    latent = torch.zeros((2, 6))
    image = Generator(pyramid, vector(pyramid), linear_path=linear_path).eval()(latent)
    assert image.shape == (2, channels, *size_hw)
    assert Encoder(pyramid, vector(pyramid), linear_path=linear_path)(image).shape == (2, 6)
    assert Head(pyramid, None, batch_norm=True)(Features(pyramid, None, batch_norm=True)(image)).shape == (2,)


def test_the_papers_networks_at_64_pixels() -> None:
    pyramid = Pyramid((64, 64), 1, 64)
    generator = convolutions(Generator(pyramid, vector(pyramid, 100)))
    assert [layer.in_channels for layer in generator] == [512, 256, 128, 64]
    assert [layer.out_channels for layer in convolutions(Features(pyramid, None, batch_norm=True))] == [
        64,
        128,
        256,
        512,
    ]
    assert pyramid.base_hw == (4, 4)


@pytest.mark.parametrize(("size_hw", "levels", "base_hw"), [((28, 28), 2, (7, 7)), ((192, 480), 5, (6, 15))])
def test_halvings(size_hw: tuple[int, int], levels: int, base_hw: tuple[int, int]) -> None:
    assert (Pyramid(size_hw, 1, 4).levels, Pyramid(size_hw, 1, 4).base_hw) == (levels, base_hw)


def test_the_crop_takes_from_both_sides() -> None:
    pyramid = Pyramid((30, 33), 1, 4)
    generator = Generator(pyramid, vector(pyramid)).eval()
    whole = generator.layers(torch.ones((1, 6)))
    assert whole.shape == (1, 1, 32, 36)
    assert torch.equal(generator(torch.ones((1, 6))), whole[:, :, 1:31, 1:34])


@pytest.mark.parametrize("levels", [1, 2, 4, 9, None])
def test_features_and_head_are_one_discriminator_wherever_it_is_cut(levels: int | None) -> None:
    pyramid = Pyramid((64, 64), 1, 4)
    features, head = Features(pyramid, levels, batch_norm=True), Head(pyramid, levels, batch_norm=True)
    assert len(convolutions(features)) + len(convolutions(head)) == 4
    assert head(features(torch.zeros((2, 1, 64, 64)))).shape == (2,)


def test_batch_norm_stands_right_behind_its_layer_so_that_export_can_fold_it() -> None:
    pyramid = Pyramid((64, 64), 1, 4)
    for network in (
        Generator(pyramid, vector(pyramid)),
        Features(pyramid, None, batch_norm=True),
        Encoder(pyramid, vector(pyramid)),
    ):
        layers = list(network.layers)
        norms = [index for index, layer in enumerate(layers) if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
        assert len(norms) >= 3
        assert all(isinstance(layers[i - 1], nn.Conv2d | nn.ConvTranspose2d | nn.Linear) for i in norms)


def test_a_critic_has_no_batch_norm() -> None:
    critic = Features(Pyramid((64, 64), 1, 4), None, batch_norm=False)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in critic.modules())


def test_initial_weights_of_dcgan() -> None:
    pyramid = Pyramid((32, 32), 1, 16)
    network = Generator(pyramid, vector(pyramid, 64))
    initialise_as_dcgan(network)
    weight = convolutions(network)[0].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
