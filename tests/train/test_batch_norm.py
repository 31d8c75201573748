import copy

import pytest
import torch
from torch import Tensor, nn

from ganspect.train.batch_norm import statistics_kept
from tests.train.stages import BATCH, images, make, tiny


def statistics(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.named_buffers() if name.endswith(("_mean", "_var"))}


def test_statistics_stay_while_they_are_kept_and_move_again_after() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(2, momentum=0.3))).train()
    batch = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 5
    before = statistics(network)
    with statistics_kept(network):
        kept = network(batch)
    assert all(torch.equal(before[name], tensor) for name, tensor in statistics(network).items())
    assert torch.equal(kept, network(batch))  # each batch is normalised by itself, then as before
    assert not torch.equal(before["0.running_mean"], statistics(network)["0.running_mean"])
    assert [layer.momentum for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)] == [0.1, 0.3]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {"r1_weight": weight}) for name in ("anogan", "egbad", "ganomaly") for weight in (0, 1)),
        ("anogan", {"loss": "wgan-gp"}),
    ],
)
def test_a_discriminators_statistics_are_of_each_real_batch_once_and_nothing_else(
    name: str, settings: dict[str, object]
) -> None:
    system = tiny(name)
    stage = make(system, settings)
    features = stage.modules["features"] if name == "egbad" else system.features
    alone = copy.deepcopy(features).train()
    real = images(stage.batches_per_step * BATCH)
    stage.step(real, torch.Generator().manual_seed(3), 0.0)
    with torch.no_grad():
        alone(real[:BATCH], *([torch.zeros(BATCH, 6)] if name == "egbad" else []))
    assert statistics(alone)
    for key, expected in statistics(alone).items():
        torch.testing.assert_close(statistics(features)[key], expected)
