import pytest
import torch
from torch import nn

from ganspect.train.linear_path import LinearPath
from ganspect.train.optimizers import adam, descend, rmsprop, set_rates


def test_linear_paths_learn_at_a_tenth_of_the_rate() -> None:
    network = nn.Sequential(nn.Linear(2, 2), LinearPath(2, 2))
    optimizer = adam([network], 0.5, (0.0, 0.9))
    assert [group["full_rate"] for group in optimizer.param_groups] == [0.5, 0.05]
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]


def test_cosine_warms_up_stays_level_and_falls_to_a_hundredth() -> None:
    optimizer = rmsprop([nn.Linear(1, 1)], 2.0)

    def rate(progress: float) -> float:
        set_rates([optimizer], "cosine", progress, 1000)
        return float(optimizer.param_groups[0]["lr"])

    assert rate(0.0) == pytest.approx(0.04)
    assert rate(0.2) == rate(0.3) == 2.0
    assert rate(0.65) == pytest.approx(1.01)
    assert rate(0.9999) == pytest.approx(0.02, rel=0.01)


def test_constant_stays() -> None:
    optimizer = rmsprop([nn.Linear(1, 1)], 2.0)
    set_rates([optimizer], "constant", 0.99, 10)
    assert optimizer.param_groups[0]["lr"] == 2.0


def test_descend_lowers_the_loss() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    descend(network(torch.ones((1, 1))).sum(), adam([network], 0.1, (0.0, 0.9)))
    assert network.weight.item() < 1
