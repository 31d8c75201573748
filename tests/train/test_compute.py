from collections.abc import Callable

import pytest
import torch
from torch import nn

from ganspect.errors import ConfigError
from ganspect.train.compute import Compute, choose_device, choose_precision, deterministic

CPU = torch.device("cpu")


@pytest.mark.parametrize("faster", ["fp32", "bf16"])
def test_auto_takes_what_is_measured_faster(monkeypatch: pytest.MonkeyPatch, faster: str) -> None:
    now = [0.0]
    monkeypatch.setattr("ganspect.train.compute.time.perf_counter", lambda: now[0])

    def trial(compute: Compute) -> Callable[[], object]:
        def step() -> None:
            now[0] += 1.0 if compute.precision == faster else 2.0

        return step

    assert choose_precision("auto", CPU, trial) == faster


def test_an_asked_precision_is_not_measured() -> None:
    assert choose_precision("bf16", CPU, lambda compute: pytest.fail("measured")) == "bf16"


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"training\.device is 'cuda', but PyTorch sees no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == CPU


def test_bf16_runs_networks_in_bf16_and_what_must_be_exact_in_fp32() -> None:
    compute = Compute(CPU, "bf16")
    network = nn.Linear(2, 2)
    with compute.autocast():
        assert network(torch.ones((1, 2))).dtype == torch.bfloat16
        with compute.exact():
            assert network(torch.ones((1, 2))).dtype == torch.float32


def test_deterministic_algorithms_are_switched_back() -> None:
    with deterministic():
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
