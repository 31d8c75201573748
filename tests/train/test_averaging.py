import pytest
import torch
from torch import nn

from ganspect.train.averaging import Average


def networks() -> tuple[nn.BatchNorm1d, nn.BatchNorm1d]:
    return nn.BatchNorm1d(2), nn.BatchNorm1d(2)


def test_no_decay_copies() -> None:
    average, trained = networks()
    following = Average(0.0, [(average, trained)])
    trained.weight.data.fill_(5.0)
    following.update()
    assert average.weight.tolist() == [5.0, 5.0]


def test_parameters_and_statistics_are_averaged_and_counts_copied() -> None:
    average, trained = networks()
    following = Average(0.9, [(average, trained)])
    following.updates.fill_(1000)
    trained.weight.data.fill_(2.0)
    trained.running_mean.fill_(1.0)
    trained.num_batches_tracked.fill_(7)
    following.update()
    assert average.weight.tolist() == pytest.approx([1.1, 1.1])
    assert average.running_mean.tolist() == pytest.approx([0.1, 0.1])
    assert average.num_batches_tracked == 7


def test_initial_weights_are_soon_forgotten() -> None:
    average, trained = networks()
    following = Average(0.999, [(average, trained)])
    trained.weight.data.fill_(0.0)
    for _ in range(30):
        following.update()
    assert average.weight.max() < 1e-3


def test_the_average_is_frozen_and_the_count_is_a_buffer() -> None:
    average, trained = networks()
    following = Average(0.5, [(average, trained)])
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert not average.training
    assert list(following.state_dict()) == ["updates"]
    assert torch.equal(following.updates, torch.tensor(0))
