"""Every system's graphs and formulas beside PyTorch: what each sees, what stays while the latent moves, all scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from ganspect.config import Recipe
from ganspect.export.exporter import check_parity, search_record, sizes_of, write_graphs
from ganspect.export.formulas import Formulas, compose, to_image
from ganspect.export.graphs import graph_builders
from ganspect.export.reference import ReferenceSearch, initial_state
from ganspect.scoring import SCORES
from ganspect.train.run import build_system
from ganspect.train.system import System
from ganspect.train.systems import SYSTEMS, parse_recipe

NEVER = torch.tensor(float("-inf"))
GREY, RGB = {"size_hw": [28, 28], "channels": 1}, {"size_hw": [28, 36], "channels": 3}
MNIST = {"layout": "mnist", "dropout": 0.5}
WITH_ENCODER = {"encoder": {"steps": 1}}


def recipe_of(name: str, score: str, **given: Any) -> Recipe:
    content = {
        "system": name,
        "image": given.get("image", GREY),
        "network": {"width": 4, "latent_size": 6, **given.get("network", {})},
        "training": given.get("training", {}),
        "search": {
            "feature_weight": given.get("weight", 0.1),
            "discrimination": given.get("by", "features"),
            "residual": given.get("residual", "absolute"),
        },
        "score": {
            "search": score,
            "encoder": given.get("encoder_score", "paper"),
            "weighing": given.get("weighing"),
        },
    }
    return parse_recipe(content, Path("a.yaml"))


def system_of(recipe: Recipe) -> System:
    """Return a system whose weights and batch norms are far from where they begin."""
    system, random = build_system(recipe, SYSTEMS[recipe.system]), torch.Generator().manual_seed(3)
    with torch.no_grad():
        system.latent_mean.uniform_(-1, 1, generator=random)
        system.latent_deviation.uniform_(0.5, 2, generator=random)
        if system.distance is not None and system.distance.weights is not None:
            system.distance.weights.copy_(torch.rand(system.distance.weights.shape, generator=random))
        for module in system.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.running_mean, module.bias):
                    assert tensor is not None
                    tensor.uniform_(-0.3, 0.3, generator=random)
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 2, generator=random)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                module.weight.mul_(5 if recipe.system != "fanogan" else 1)
    return system.eval().requires_grad_(False)


def formulas_of(system: System, recipe: Recipe) -> Formulas:
    return compose(system, search_record(recipe), recipe.score.search, recipe.score.encoder)


def random_images(recipe: Recipe, count: int) -> Tensor:
    shape = (count, *recipe.image.size_hw, recipe.image.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


VARIANTS: Mapping[str, tuple[Recipe, tuple[str, ...]]] = {
    "anogan": (recipe_of("anogan", "anogan", image=RGB), ("features",)),
    "anogan, fooling": (recipe_of("anogan", "anogan_fooling", by="fooling"), ()),
    "anogan, both": (recipe_of("anogan", "anogan_fooling", training=WITH_ENCODER), ("features",)),
    "anogan, pixels": (recipe_of("anogan", "residual_mean", weight=0), ()),
    "fanogan": (recipe_of("fanogan", "fanogan", image=RGB, encoder_score="residual_worst"), ("features",)),
    "fanogan, weighed": (
        recipe_of("fanogan", "residual_mean", image=RGB, residual="weighed", weighing="place"),
        ("features",),
    ),
    "fanogan, trimmed": (recipe_of("fanogan", "fanogan", image=RGB, residual="trimmed"), ("features",)),
    "fanogan, latent": (
        recipe_of("fanogan", "latent_mahalanobis", residual="huber", weight=0, encoder_score="latent_mahalanobis"),
        (),
    ),
    "egbad, latent": (recipe_of("egbad", "latent_mahalanobis", weight=0, residual="weighed", weighing="pooled"), ()),
    "egbad": (recipe_of("egbad", "egbad_feature_matching", image=RGB), ("anchor", "features")),
    "egbad, paper": (recipe_of("egbad", "egbad_cross_entropy", weight=0), ("anchor", "logit")),
    "egbad, code": (recipe_of("egbad", "egbad_cross_entropy_code", weight=0), ("anchor",)),
    "egbad, fooling": (recipe_of("egbad", "residual_calibrated", by="fooling", weight=0.4), ("anchor",)),
    "egbad, pixels": (recipe_of("egbad", "residual_calibrated", weight=0), ()),
    "egbad, both": (recipe_of("egbad", "egbad_cross_entropy", network=MNIST), ("anchor", "features", "logit")),
    "ganomaly": (recipe_of("ganomaly", "ganomaly", image=RGB), ("anchor", "features")),
    "ganomaly, code": (recipe_of("ganomaly", "ganomaly_code", by="fooling"), ("anchor",)),
    "ganomaly, features": (recipe_of("ganomaly", "residual_mean"), ("features",)),
    "ganomaly, pixels": (recipe_of("ganomaly", "residual_mean", weight=0), ()),
}
"""Recipes, and what the search then computes of an image once."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_iteration_of_the_folded_formulas_is_pytorchs(variant: str) -> None:
    recipe, fixed = VARIANTS[variant]
    system, image = system_of(recipe), random_images(recipe, 3)
    formulas, reference = (
        formulas_of(system, recipe),
        ReferenceSearch(system, search_record(recipe), recipe.score.search),
    )
    assert formulas.fixed == fixed
    pixels = (torch.rand(recipe.image.size_hw) * 0.2, torch.rand(recipe.image.size_hw) + 0.1)
    pixels = pixels if SCORES[recipe.score.search].needs_pixel_statistics else ()
    state = initial_state(torch.randn(3, 6))
    for _ in range(2):
        x, *once, going = formulas.prepare(image, state.best_score, state.part, NEVER)
        found = formulas.iteration(x, dict(zip(fixed, once, strict=True)), state, NEVER, *pixels)
        expected = reference.iteration(image, state, NEVER, pixels)
        assert bool(going)
        torch.testing.assert_close(found.adam_m, expected.adam_m, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found.best_score, expected.best_score, rtol=1e-5, atol=1e-6)
        state = expected


@pytest.mark.parametrize("variant", [name for name in VARIANTS if not name.startswith("anogan") or "both" in name])
def test_scores_at_the_encoders_latent_are_pytorchs(variant: str) -> None:
    recipe, _ = VARIANTS[variant]
    system, image = system_of(recipe), random_images(recipe, 3)
    maps = (torch.rand(recipe.image.size_hw) * 0.2, torch.rand(recipe.image.size_hw) + 0.1)
    formulas = formulas_of(system, recipe)
    latent, encoder_score, *_ = formulas.scores(image, *(maps if formulas.deployed.needs_pixel_statistics else ()))
    x = to_image(image)
    torch.testing.assert_close(latent, system.encode(x), rtol=1e-4, atol=1e-5)
    if recipe.score.encoder == "paper":
        torch.testing.assert_close(encoder_score, system.encoder_score(x), rtol=1e-4, atol=1e-5)


def test_the_anchor_is_of_the_image_and_does_not_move() -> None:
    """The gradient beside what it would be if E(G(z)) took the place of E(x)."""
    recipe = recipe_of("egbad", "residual_mean", weight=0.5)
    system, image = system_of(recipe), random_images(recipe, 2)
    formulas, state = formulas_of(system, recipe), initial_state(torch.randn(2, 6))
    x, anchor, features, _ = formulas.prepare(image, state.best_score, state.part, NEVER)
    torch.testing.assert_close(anchor, system.encode(x), rtol=1e-4, atol=1e-5)
    given = {"anchor": anchor, "features": features}
    found = formulas.iteration(x, given, state, NEVER).adam_m * 10

    def gradient(moves: bool) -> Tensor:
        latent = state.latent.clone().requires_grad_()
        reconstruction = system.generator(latent)
        fixed = system.features(x, system.encode(x))
        seen = system.features(reconstruction, system.encode(reconstruction if moves else x))
        loss = 0.5 * (x - reconstruction).abs().mean((1, 2, 3)) + 0.5 * (fixed - seen).abs().mean(1)
        (slope,) = torch.autograd.grad(loss.sum(), latent)
        return slope

    torch.testing.assert_close(found, gradient(moves=False), rtol=1e-3, atol=1e-6)
    assert not torch.allclose(found, gradient(moves=True), rtol=0.05)


@pytest.fixture(scope="module", params=["egbad", "ganomaly"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, System, Recipe]:
    """Graphs of a system on images that are not square: EGBAD in RGB, GANomaly in grey."""
    recipe, _ = VARIANTS["egbad"]
    if request.param == "ganomaly":
        recipe = recipe_of("ganomaly", "ganomaly", image={"size_hw": [36, 28], "channels": 1}, weight=0)
    folder, system = tmp_path_factory.mktemp(request.param), system_of(recipe)
    write_graphs(system, recipe, folder)
    return folder, system, recipe


def test_all_graphs_agree_with_pytorch_at_batch_1_and_5(exported: tuple[Path, System, Recipe]) -> None:
    folder, system, recipe = exported
    figures = check_parity(system, recipe, folder)
    compared = {name.partition(":")[0] for name in figures}
    assert {f"features graph, {view}" for view in system.views} <= compared
    assert {"generator", "encoder", "encoder_score", "start_score", "step graph, iteration 19", "search"} <= compared


def test_the_features_graph_shows_every_view(exported: tuple[Path, System, Recipe]) -> None:
    folder, system, recipe = exported
    session = onnxruntime.InferenceSession(folder / "features.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == (["image", "latent"] if system.anchored else ["image"])
    assert [value.name for value in session.get_outputs()] == list(system.views)
    assert system.views == (("features", "logit") if recipe.system == "egbad" else ("features", "logit", "code"))


def test_the_loops_body_holds_what_moves_and_no_encoder(exported: tuple[Path, System, Recipe]) -> None:
    folder, system, recipe = exported
    model = onnx.load(folder / "search.onnx")
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    body = onnx.helper.get_attribute_value(loop.attribute[0])
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    inside = {name for node in body.node for name in node.input if name in values}
    before = {name for node in model.graph.node if node.op_type != "Loop" for name in node.input if name in values}
    once, moving = ([values[name] for name in sorted(names)] for names in (before, inside))
    encoder = formulas_of(system, recipe).system.get_submodule("encoder.layers.0").get_parameter("weight").numpy()
    assert any(_same(encoder, tensor) for tensor in once)
    assert not any(_same(encoder, tensor) for tensor in moving)
    what_sees = system.get_submodule("features.image.0" if system.anchored else "second_encoder.layers.0")
    assert any(_same(what_sees.get_parameter("weight").numpy(), tensor) for tensor in moving)


def test_the_authors_discriminator_for_mnist_is_exported() -> None:
    recipe, _ = VARIANTS["egbad, both"]
    system = system_of(recipe)
    model = graph_builders(formulas_of(system, recipe), sizes_of(recipe))["features"]()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        image, latent = to_image(random_images(recipe, batch)), torch.randn(batch, 6)
        given = session.run(None, {"image": image.contiguous().numpy(), "latent": latent.numpy()})
        seen = system.see(image, latent)
        for one, other in zip(given, (seen.features, seen.logit), strict=True):
            assert other is not None
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-3, atol=1e-4)


def _same(weight: np.ndarray[Any, Any], tensor: np.ndarray[Any, Any]) -> bool:
    return weight.shape == tensor.shape and bool(np.allclose(weight, tensor, atol=1e-6))
