"""The PCA that generator and encoder share in feature space: exact on what it spans, stored once, never trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.pca import Gram
from ganspect.train.averaging import trainable_copy
from ganspect.train.fanogan import Fanogan
from ganspect.train.latents import LatentLayout
from ganspect.train.pca_path import PcaPath
from ganspect.train.run import build_system
from ganspect.train.systems import SYSTEMS, parse_recipe

VALUES, RANK = 60, 5


def low_rank(count: int = 40, rank: int = RANK) -> np.ndarray[Any, np.dtype[np.float32]]:
    random = np.random.default_rng(0)
    directions = np.random.default_rng(1).normal(size=(rank, VALUES)) * np.geomspace(5, 0.5, rank)[:, None]
    return (2 + random.normal(size=(count, rank)) @ directions).astype(np.float32)


def x_of(rows: Tensor) -> Tensor:
    return rows.reshape(-1, VALUES, 1, 1)


def path_of(rows: np.ndarray[Any, np.dtype[np.float32]], latent_size: int) -> tuple[PcaPath, Tensor]:
    path = PcaPath(LatentLayout.vector(latent_size, (VALUES, 1, 1)))
    return path, path.set(Gram(rows).pca(latent_size))


def basis_of(path: PcaPath) -> Tensor:
    return (path.codes.float() - 128) * path.step


def test_codes_are_as_good_as_the_components() -> None:
    pca = Gram(low_rank()).pca(RANK)
    path, _ = path_of(low_rank(), RANK)
    columns = torch.from_numpy(pca.components.T * np.sqrt(pca.deviations))
    off = (basis_of(path) - columns).norm(dim=0) / columns.norm(dim=0)
    assert float(off.max()) < 0.01
    assert path.codes.amin() == 1 or path.codes.amax() == 255


def test_what_the_pca_spans_comes_back() -> None:
    path, _ = path_of(low_rank(), RANK)
    x = x_of(torch.from_numpy(low_rank(90)[40:]))
    assert (path.decode(path.encode(x)) - x).norm() < 0.01 * x.norm()


def test_latents_come_back_and_are_whitened_by_half() -> None:
    path, deviations = path_of(low_rank(), RANK)
    latents = torch.randn(7, RANK, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(path.encode(path.decode(latents)), latents, atol=0.02, rtol=5e-3)
    spread = path.encode(x_of(torch.from_numpy(low_rank()))).std(0, unbiased=False)
    torch.testing.assert_close(spread, deviations, rtol=5e-3, atol=0)
    torch.testing.assert_close(basis_of(path).norm(dim=0), deviations, rtol=5e-3, atol=0)


def test_the_start_of_all_latents_is_the_mean() -> None:
    path, _ = path_of(low_rank(), RANK)
    torch.testing.assert_close(path.decode(torch.zeros(1, RANK)).flatten(), torch.from_numpy(low_rank().mean(0)))


def test_latents_beyond_the_rank_stay_still() -> None:
    path, deviations = path_of(low_rank(), 9)
    assert deviations[RANK:].tolist() == [1.0] * 4
    latents = path.encode(x_of(torch.from_numpy(low_rank())))
    assert not latents[:, RANK:].any()
    moved = latents.clone()
    moved[:, RANK:] = 3
    assert torch.equal(path.decode(moved), path.decode(latents))


def test_another_pca_with_fewer_components_leaves_nothing_of_the_first() -> None:
    path, _ = path_of(low_rank(), RANK)
    path.set(Gram(low_rank(rank=2)).pca(RANK))
    assert not basis_of(path)[:, 2:].any()
    assert path.scale[2:].tolist() == [1.0] * 3


def test_no_components_leave_the_mean_alone() -> None:
    path = PcaPath(LatentLayout.vector(1, (VALUES, 1, 1)))
    assert path.set(Gram(low_rank()).pca(0)).tolist() == [1.0]
    rows = torch.from_numpy(low_rank())
    assert not path.encode(x_of(rows)).any()
    torch.testing.assert_close(path.decode(torch.full((1, 1), 9.0)).flatten(), rows.mean(0))


def test_it_is_exact_under_autocast() -> None:
    path, _ = path_of(low_rank(), RANK)
    rows = torch.from_numpy(low_rank())
    latents = path.encode(x_of(rows))
    expected = path.decode(latents)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(path.encode(x_of(rows)), latents)
        assert torch.equal(path.decode(latents), expected)


@pytest.fixture
def system() -> Fanogan:
    content = {
        "system": "fanogan",
        "image": {"size_hw": [64, 64], "channels": 1},
        "backbone": {"layers": [0], "stride": 8, "channels": 4},
        "network": {"width": 4, "latent_size": 3},
    }
    system = build_system(parse_recipe(content, Path("a.yaml")), SYSTEMS["fanogan"])
    assert isinstance(system, Fanogan)
    assert system.pca is not None
    rows = np.random.default_rng(0).normal(size=(12, 4 * 8 * 8)).astype(np.float32)
    system.latent_deviation.copy_(system.pca.set(Gram(rows).pca(3)))
    system.begin_at_pca()
    return system.requires_grad_(False).eval()


def test_generator_and_encoder_begin_as_the_pca(system: Fanogan) -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 4, 8, 8)).astype(np.float32))
    assert system.pca is not None
    latents = system.pca.encode(x)
    torch.testing.assert_close(system.encode(x), latents)
    of_pca = system.pca.decode(latents)
    assert (system.generator(latents) - of_pca).abs().mean() < 0.2 * (of_pca - of_pca.mean(0)).abs().mean()


def test_a_systems_weights_hold_one_basis(system: Fanogan) -> None:
    names = [name for name, values in system.state_dict().items() if values.shape == (4 * 8 * 8, 3)]
    assert names == ["pca.codes"]
    assert system.state_dict()["pca.codes"].dtype == torch.uint8


def test_a_copy_for_an_optimizer_shares_the_pca_and_nothing_else(system: Fanogan) -> None:
    for network in (system.generator, system.encoder):
        copy = trainable_copy(network)
        assert copy.linear.of[0] is system.pca
        assert all(parameter.requires_grad for parameter in copy.parameters())
        assert not {id(one) for one in copy.parameters()} & {id(one) for one in network.parameters()}
    assert not any(parameter.requires_grad for parameter in system.generator.parameters())
