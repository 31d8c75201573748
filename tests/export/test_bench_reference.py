from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ganspect.bundle import open_bundle
from ganspect.errors import RunError
from ganspect.export.bench_reference import require_same_model
from ganspect.export.floor import matrix_gflop_per_s, step_gflop
from ganspect.export.formulas import to_image
from ganspect.export.lean_search import LeanSearch, formulas_of
from ganspect.export.reference import ReferenceSearch, initial_state
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.rows import start_latents
from ganspect.runtime.search import LatentSearch
from ganspect.train.run import load_run

STEPS = 8


def fresh_images(count: int) -> np.ndarray:
    return np.random.default_rng(77).integers(0, 256, (count, 32, 32, 1), dtype=np.uint8)


@pytest.mark.parametrize("system", ["tiny", "tiny_anogan"])
def test_the_lean_search_finds_the_best_scores_of_the_graph(system: str, request: pytest.FixtureRequest) -> None:
    bundle = open_bundle(request.getfixturevalue(f"{system}_bundle"))
    run, images = load_run(request.getfixturevalue(f"{system}_run")), fresh_images(3)
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        expected = LatentSearch(bundle, backend).full(images, steps=STEPS).score
    search, tiles = LeanSearch(formulas_of(run.system, bundle)), torch.from_numpy(images)
    encoded = None if run.system.encoder is None else run.system.encode(to_image(tiles)).numpy()
    restarts = bundle.manifest.search.restarts
    starts = start_latents(bundle.starts(), restarts, len(images), encoded)
    latent = torch.from_numpy(starts.reshape(len(images) * restarts, -1).copy())
    found = search.run(tiles.repeat_interleave(restarts, dim=0), latent, STEPS).best_score
    assert found.reshape(-1, restarts).amin(1).numpy() == pytest.approx(expected, rel=2e-2)


def test_every_iteration_is_that_of_the_reference(tiny_bundle: Path, tiny_run: Path) -> None:
    bundle, images = open_bundle(tiny_bundle), torch.from_numpy(fresh_images(2))
    reference = ReferenceSearch(load_run(tiny_run).system, bundle.manifest.search, bundle.manifest.scores.search)
    lean = LeanSearch(formulas_of(load_run(tiny_run).system, bundle))
    state = initial_state(torch.from_numpy(bundle.starts()[:2].copy()))
    prepared, never = lean.prepare(images), torch.tensor(-torch.inf)
    for _ in range(3):
        expected, state = reference.iteration(images, state, never), lean.iteration(prepared, state)
        for name in ("adam_m", "latent", "best_score", "step"):
            torch.testing.assert_close(getattr(state, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


def test_its_scores_are_those_of_the_score_graph(tiny_bundle: Path, tiny_run: Path) -> None:
    bundle, images = open_bundle(tiny_bundle), fresh_images(3)
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        expected = LatentSearch(bundle, backend).score(images)
    lean = LeanSearch(formulas_of(load_run(tiny_run).system, bundle))
    _, encoder_score, start_score, reconstruction, residual = lean.scores(torch.from_numpy(images))
    assert encoder_score.numpy() == pytest.approx(expected.encoder_score, rel=1e-4)
    assert start_score.numpy() == pytest.approx(expected.start_score, rel=1e-4)
    assert reconstruction.numpy() == pytest.approx(expected.reconstruction, abs=1)
    assert residual.numpy() == pytest.approx(expected.residual, abs=1e-4)


def test_a_run_of_another_size_is_refused(tiny_bundle: Path, tiny_rgb_run: Path) -> None:
    with pytest.raises(RunError, match=r"has image size 28x36, .* has 32x32"):
        require_same_model(load_run(tiny_rgb_run), open_bundle(tiny_bundle))


def test_work_is_counted_forward_and_backward() -> None:
    layer = nn.Linear(30, 20, bias=False).requires_grad_(False)

    def step() -> torch.Tensor:
        latent = torch.ones(7, 30, requires_grad=True)
        return torch.autograd.grad(layer(latent).sum(), latent)[0]

    assert step_gflop(step) == pytest.approx(2 * (2 * 7 * 30 * 20) / 1e9)


def test_matrix_products_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.export.floor._SIDE", 256)
    monkeypatch.setattr("ganspect.export.floor._HOPELESS_GFLOP_PER_S", 0.0)
    assert matrix_gflop_per_s(torch.float32) > 0


def test_a_type_without_instructions_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.export.floor._HOPELESS_GFLOP_PER_S", float("inf"))
    assert matrix_gflop_per_s(torch.bfloat16) is None
