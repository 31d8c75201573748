import pytest
import torch
from torch import nn

from ganspect.export.folding import fold
from tests.export.toy import Toy


@pytest.mark.parametrize("part", ["generator", "features"])
def test_folded_network_computes_the_same(toy: Toy, part: str) -> None:
    network = getattr(toy, part)
    inputs = torch.randn(3, 8) if part == "generator" else torch.randn(3, 3, 12, 16)
    folded = fold(network)
    torch.testing.assert_close(folded(inputs), network(inputs), atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any("parametrizations" in name for name, _ in folded.named_parameters())


def test_folding_leaves_the_network_alone(toy: Toy) -> None:
    before = {name: tensor.clone() for name, tensor in toy.state_dict().items()}
    fold(toy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in toy.state_dict().items())


def test_batch_norm_after_an_activation_stays() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)).eval()
    assert isinstance(fold(network).get_submodule("2"), nn.BatchNorm2d)


def test_batch_norm_without_statistics_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(ValueError, match="running statistics"):
        fold(network)
