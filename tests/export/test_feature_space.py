"""Systems in feature space, from a run to a bundle: what its graphs are, and that they compute what PyTorch does."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from ganspect.bundle import Bundle, open_bundle
from ganspect.config import Recipe
from ganspect.datasets import open_dataset
from ganspect.export.exporter import search_record, sizes_of
from ganspect.export.formulas import Formulas, compose, to_image, to_pixels
from ganspect.export.graphs import graph_builders
from ganspect.export.lean_search import LeanSearch
from ganspect.export.reference import ReferenceSearch, initial_state
from ganspect.export.weights import WEIGHTS, WeightFile
from ganspect.preprocess import to_tiles
from ganspect.runtime import Inspector
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.evaluation.readout import Readout
from ganspect.runtime.rows import begin_state
from ganspect.runtime.search import LatentSearch
from ganspect.train.backbones.efficientnet_lite import WEIGHTS_SHA256, Classifier
from ganspect.train.data import tile_grid
from ganspect.train.run import Run, build_system, load_run
from ganspect.train.systems import SYSTEMS, parse_recipe
from tests.conftest import FEATURE_SPACE, WEIGHED, train_system
from tests.photographs import CLASSES, photographs

NEVER = torch.tensor(float("-inf"))
GRAPHS = {"generator", "encoder", "score", "step", "search"}
IN_FEATURES = {"backbone", "picture", "distance"}

GAN = ("training.gan.steps=2", "training.gan.batch_size=4")
ENCODER = ("training.encoder.steps=2", "training.encoder.batch_size=4")
NO_ENCODER = ("score.search=weighed_residual", "score.weighing=pooled")
RGB = ("image.channels=3", "image.size_hw=[48,64]")
MAPS = ("network.latent=map", "network.latent_stride=2", "image.size_hw=[56,72]")
"""Latents of two places a block: 7x9 places of x are 4x5 blocks, the last of each row and column cut."""
TRAINED: Mapping[str, tuple[str, tuple[str, ...], set[str]]] = {
    "anogan, map": (
        "anogan",
        (*GAN, *NO_ENCODER, *MAPS, "search.residual=huber"),
        GRAPHS - {"encoder", "score"} | {"features"},
    ),
    "anogan, encoder": ("anogan", (*GAN, *ENCODER, *WEIGHED, "search.feature_weight=0.1"), GRAPHS | {"features"}),
    "fanogan, rgb": (
        "fanogan",
        (*GAN, *ENCODER, *WEIGHED, *RGB, "training.gan.critic_steps=1", "discriminator.steps=3", "score.relative=0.5"),
        GRAPHS | {"features"},
    ),
    "egbad": (
        "egbad",
        (
            "training.bigan.steps=2",
            "training.bigan.batch_size=4",
            *WEIGHED,
            "score.weighing=plain",
            "search.residual=trimmed",
        ),
        GRAPHS | {"features"},
    ),
    "ganomaly": (
        "ganomaly",
        (
            "training.bottleneck.steps=2",
            "training.bottleneck.batch_size=4",
            *WEIGHED,
            "score.encoder=paper",
            "search.residual=weighed",
        ),
        GRAPHS | {"features"},
    ),
    "linear": ("linear", RGB, GRAPHS),
    "fanogan, map, rgb": (
        "fanogan",
        (*GAN, *ENCODER, *WEIGHED, *RGB, *MAPS, "training.gan.critic_steps=1", "search.feature_weight=0.1"),
        GRAPHS | {"features"},
    ),
    "egbad, map": (
        "egbad",
        ("training.bigan.steps=2", "training.bigan.batch_size=4", *WEIGHED, *MAPS, "search.feature_weight=0.1"),
        GRAPHS | {"features"},
    ),
    "ganomaly, map": (
        "ganomaly",
        ("training.bottleneck.steps=2", "training.bottleneck.batch_size=4", *WEIGHED, *MAPS, "score.encoder=paper"),
        GRAPHS | {"features"},
    ),
}
"""What each system is trained with on top of `FEATURE_SPACE`, and its graphs beside those of feature space."""


def formulas_of(run: Run) -> Formulas:
    return compose(run.system, search_record(run.recipe), run.recipe.score.search, run.recipe.score.encoder)


def random_images(recipe: Recipe, count: int) -> Tensor:
    shape = (count, *recipe.image.size_hw, recipe.image.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module", params=TRAINED, ids=[name.replace(", ", "-") for name in TRAINED])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Any:
    """A run of each system, and the graphs that a bundle of it has."""
    system, overrides, graphs = TRAINED[request.param]
    folder = tmp_path_factory.mktemp("trained")
    return load_run(train_system(system, folder / "run", mvtec_folder, *FEATURE_SPACE, *overrides)), graphs


def test_every_system_has_the_graphs_of_feature_space_beside_its_own(trained: tuple[Run, set[str]]) -> None:
    run, graphs = trained
    assert set(graph_builders(formulas_of(run), sizes_of(run.recipe))) == graphs | IN_FEATURES


def test_every_systems_search_and_scores_are_those_of_pytorch(trained: tuple[Run, set[str]]) -> None:
    run, _ = trained
    image, formulas = random_images(run.recipe, 2), formulas_of(run)
    reference = ReferenceSearch(run.system, search_record(run.recipe), run.recipe.score.search)
    state = initial_state(torch.randn(2, run.system.latent.size, generator=torch.Generator().manual_seed(0)))
    for _ in range(2):
        x, *once, _ = formulas.prepare(image, state.best_score, state.part, NEVER)
        found = formulas.iteration(x, dict(zip(formulas.fixed, once, strict=True)), state, NEVER)
        expected = reference.iteration(image, state, NEVER, ())
        torch.testing.assert_close(found.adam_m, expected.adam_m, rtol=2e-3, atol=1e-6)
        torch.testing.assert_close(found.best_score, expected.best_score, rtol=1e-4, atol=1e-6)
        state = expected
    if run.system.encoder is not None:
        x = run.system.represent(to_image(image))
        latent, encoder_score, *_ = formulas.scores(image)
        torch.testing.assert_close(latent, run.system.encode(x), rtol=1e-3, atol=1e-4)
        if run.recipe.score.encoder == "paper":
            torch.testing.assert_close(encoder_score, run.system.encoder_score(x), rtol=1e-3, atol=1e-5)
        for lean, expected_of_it in zip(LeanSearch(formulas).scores(image), formulas.scores(image), strict=True):
            torch.testing.assert_close(lean, expected_of_it)


def test_pictures_and_heat_maps_are_of_the_images_size(trained: tuple[Run, set[str]]) -> None:
    run, _ = trained
    recipe, formulas = run.recipe, formulas_of(run)
    x = formulas.represent(random_images(recipe, 2))
    picture, heat = formulas.finish(x, torch.zeros(2, run.system.latent.size))
    assert picture.shape == (2, *recipe.image.size_hw, recipe.image.channels)
    assert picture.dtype == torch.uint8
    assert heat.shape == (2, *recipe.image.size_hw)
    assert (heat >= 0).all()


def test_generator_and_encoder_store_their_basis_once(mvtec_folder: Path, tmp_path: Path) -> None:
    system, overrides, _ = TRAINED["fanogan, rgb"]
    run = load_run(
        train_system(system, tmp_path / "run", mvtec_folder, *FEATURE_SPACE, *overrides, "image.size_hw=[64,64]")
    )
    builders, weights = graph_builders(formulas_of(run), sizes_of(run.recipe)), WeightFile()
    assert run.system.pca is not None
    for name in ("generator", "encoder"):
        model = builders[name]()
        bases = [one for one in model.graph.initializer if sorted(one.dims) == sorted(run.system.pca.codes.shape)]
        assert [one.data_type for one in bases] == [onnx.TensorProto.UINT8]
        weights.take_out(model)
    networks = _bytes_of(run.system.generator, run.system.encoder)
    assert weights.size_bytes < networks + run.system.pca.codes.nbytes + 2 * run.system.pca.mean.nbytes


def _bytes_of(*networks: torch.nn.Module | None) -> int:
    return sum(values.nbytes for network in networks if network is not None for values in network.state_dict().values())


@pytest.fixture(scope="module")
def bundle(features_bundle: Path) -> Bundle:
    """The linear system in feature space, opened."""
    return open_bundle(features_bundle)


@pytest.fixture(scope="module")
def backend(bundle: Bundle) -> Iterator[Backend]:
    """ONNX Runtime with the bundle's graphs."""
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def tiles(bundle: Bundle, mvtec_folder: Path) -> Any:
    """Twelve test images as the model takes them, (12,64,64,1) uint8: six normal, six scratched."""
    grid = tile_grid(parse_recipe(bundle.manifest.recipe, bundle.folder))
    return np.concatenate([to_tiles(sample.read(), grid).images for sample in open_dataset(str(mvtec_folder)).test])


def test_a_bundle_says_what_its_networks_see_and_how_it_is_weighed(bundle: Bundle, features_run: Path) -> None:
    manifest, run = bundle.manifest, load_run(features_run)
    assert manifest.backbone is not None
    assert manifest.backbone.model_dump() == {
        "name": "efficientnet_lite0", "layers": (0, 1), "channels": 24, "grid_hw": (8, 8),
        "size_bytes": 4 * sum(one.numel() for one in run.system.representation.parameters()),
        "weights_sha256": WEIGHTS_SHA256,
    }  # fmt: skip
    assert (manifest.system, manifest.mode) == ("linear", "encoder")
    assert (manifest.latent.size, manifest.scores.weighing, manifest.scores.share) == (7, "place", 0.05)
    assert manifest.scores.relative == 0.5
    own = {"residual_mean", "residual_worst", "weighed_residual", "latent_mahalanobis"}
    assert set(manifest.scores.formulas) == own
    assert manifest.choice == run.choice
    assert manifest.choice is not None


def test_its_graphs_have_these_inputs_and_outputs(bundle: Bundle) -> None:
    graphs = {name: (graph.inputs, graph.outputs) for name, graph in bundle.manifest.graphs.items()}
    assert set(graphs) == GRAPHS | IN_FEATURES
    assert graphs["backbone"] == (["image"], ["x"])
    assert graphs["picture"] == (["x"], ["reconstruction"])
    assert graphs["distance"] == (["x", "reconstruction"], ["distance", "residual"])
    assert graphs["encoder"] == (["image"], ["latent"])
    assert graphs["score"][0] == ["image"]


def test_export_has_compared_them_with_pytorch(bundle: Bundle) -> None:
    compared = {name.partition(":")[0] for name in bundle.manifest.parity}
    assert {"backbone", "picture", "distance", "heat map", "encoder_score", "search"} <= compared


def test_each_weight_is_in_the_file_once_and_the_basis_in_a_byte_a_value(bundle: Bundle, features_run: Path) -> None:
    """Backbone and basis are in five graphs: stored by each, or in single precision, the file would be far larger."""
    system, content = load_run(features_run).system, (bundle.folder / WEIGHTS).read_bytes()
    assert system.pca is not None
    assert system.distance is not None
    assert system.distance.weights is not None
    for kept in (system.pca.codes, system.distance.weights):
        assert content.count(kept.numpy().tobytes()) == 1
        for other in (kept.float(), kept.mT.contiguous(), kept.float().mT.contiguous()):
            assert other.numpy().tobytes() not in content
    assert len(content) < 1.1 * _bytes_of(system)


def test_every_graph_agrees_with_the_run(bundle: Bundle, backend: Backend, features_run: Path, tiles: Any) -> None:
    system = load_run(features_run).system
    image = torch.from_numpy(tiles)
    x = system.represent(to_image(image))
    found = backend.run("backbone", {"image": tiles})["x"]
    torch.testing.assert_close(torch.from_numpy(found), x, atol=1e-3, rtol=1e-3)
    latent = system.encode(x)
    reconstruction = system.generator(latent)
    (pixels,) = backend.run("picture", {"x": reconstruction.numpy()}).values()
    off = torch.from_numpy(pixels).short() - to_pixels(system.picture(reconstruction)).short()
    assert off.abs().max() <= 1
    given = backend.run("distance", {"x": x.numpy(), "reconstruction": reconstruction.numpy()})
    expected = system.distance(x, reconstruction)  # type: ignore[misc]
    torch.testing.assert_close(torch.from_numpy(given["distance"]), expected, atol=1e-3, rtol=1e-3)
    scored = backend.run("score", {"image": tiles})
    torch.testing.assert_close(torch.from_numpy(scored["encoder_score"]), system.encoder_score(x), atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(scored["residual"], given["residual"], atol=1e-3)


@pytest.fixture(scope="module", params=["features_bundle", "map_bundle"], ids=["vector", "map"])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Bundle, Backend]]:
    """A bundle of either kind of latent with its backend."""
    either = open_bundle(request.getfixturevalue(request.param))
    with open_backend("onnxruntime", either, tuning=Tuning(threads=1)) as engine:
        yield either, engine


def test_a_manifest_says_which_places_a_map_of_latents_has(map_bundle: Path) -> None:
    manifest = open_bundle(map_bundle).manifest
    assert (manifest.latent.grid_hw, manifest.latent.size) == ((4, 4), 32)
    older = manifest.model_dump(mode="json")
    del older["latent"]["grid_hw"]
    assert type(manifest).model_validate(older).latent.grid_hw is None


def require_composing_chunks(backend: Backend, tiles: Any, latent_size: int) -> None:
    def search(state: Mapping[str, Any], steps: int) -> dict[str, Any]:
        given = {"steps": np.asarray(steps, np.int64), "threshold": np.asarray(-np.inf, np.float32)}
        return dict(backend.run("search", {"image": tiles, **state, **given}))

    latent = np.random.default_rng(0).standard_normal((12, latent_size)).astype(np.float32)
    begin = begin_state(latent, np.arange(12))._asdict()
    whole, first = search(begin, 5), search(begin, 2)
    carried = {name.removesuffix("_out"): values for name, values in first.items() if name.endswith("_out")}
    second = search({**carried, "part": begin["part"]}, 3)
    for name, values in whole.items():
        np.testing.assert_array_equal(second[name], values)
    assert (whole["best_score_out"] < first["best_score_out"]).any()


def test_chunks_of_a_search_compose_bit_for_bit(opened: tuple[Bundle, Backend], tiles: Any) -> None:
    bundle, backend = opened
    require_composing_chunks(backend, tiles, bundle.manifest.latent.size)


def test_a_weighed_search_and_a_score_of_the_latent_go_the_whole_way(
    map_bundle: Path, mvtec_folder: Path, tiles: Any
) -> None:
    made = open_bundle(map_bundle)
    recorded, prior = made.manifest.search, made.prior()
    assert (recorded.residual, recorded.huber_delta, made.manifest.scores.encoder) == (
        "weighed", 0.5, "latent_mahalanobis",
    )  # fmt: skip
    assert len(set(prior.deviation.tolist())) == 2  # one of each channel, the same at every place
    with open_backend("onnxruntime", made, tuning=Tuning(threads=1)) as backend:
        scored, readout = backend.run("score", {"image": tiles}), Readout(made, backend)
        expected = (((scored["latent"] - prior.mean) / prior.deviation) ** 2).mean(1)
        np.testing.assert_allclose(scored["encoder_score"], expected, rtol=1e-4)
        found = readout.scores(readout.represent(tiles), scored["latent"])["latent_mahalanobis"]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    scores = {}
    for mode in ("encoder", "search"):
        with Inspector.load(made.folder, mode=mode, tuning=Tuning(threads=1)) as inspector:  # type: ignore[arg-type]
            frame = open_dataset(str(mvtec_folder)).test[0].read()
            scores[mode] = inspector.inspect(frame).score
    assert scores["encoder"] == pytest.approx(expected[0], rel=1e-3)
    assert scores["search"] <= scored["start_score"][0] * 1.001


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_early_exit_changes_no_verdict(opened: tuple[Bundle, Backend], tiles: Any, share: float) -> None:
    bundle, backend = opened
    search = LatentSearch(bundle, backend)
    full, start = search.full(tiles, steps=5), search.score(tiles)
    threshold = float(np.quantile(full.score, share))
    found = [search.screen(tiles[[i]], _row(start, i), threshold=threshold, steps=5) for i in range(12)]
    verdicts = [bool((one.score > threshold).any()) for one in found]
    assert verdicts == (full.score > threshold).tolist()
    assert 0 < sum(verdicts) < 12
    assert any(one.steps.max() < 5 for one in found)


def _row(start: Any, index: int) -> Any:
    return type(start)(**{name: values[index : index + 1] for name, values in vars(start).items()})


def test_verdicts_come_from_the_bundles_own_mode_unless_another_is_asked_for(
    bundle: Bundle, mvtec_folder: Path
) -> None:
    frames = {sample.label: sample.read() for sample in open_dataset(str(mvtec_folder)).test}
    for asked, mode, steps in ((None, "encoder", 0), ("encoder", "encoder", 0), ("search", "search", 5)):
        with Inspector.load(bundle.folder, mode=asked, tuning=Tuning(threads=1)) as inspector:  # type: ignore[arg-type]
            assert inspector.mode == mode
            verdicts = {label: inspector.inspect(frame) for label, frame in frames.items()}
        assert [verdicts[label].anomalous for label in (0, 1)] == [False, True]
        assert verdicts[1].steps == steps
        assert verdicts[1].heat_map.shape == (40, 48)
        assert verdicts[1].heat_map.max() > 2  # deviations of normal images


def test_the_photographs_come_out_right_through_the_exported_backbone() -> None:
    """x of block 10, whitened and put back, goes through the remaining blocks to the right classes."""
    content = {
        "system": "linear",
        "image": {"size_hw": [224, 224], "channels": 3},
        "backbone": {"layers": [10], "stride": 16, "channels": 112},
        "network": {"latent_size": 0},
        "search": {"feature_weight": 0},
    }
    recipe = parse_recipe(content, Path("a.yaml"))
    system = build_system(recipe, SYSTEMS["linear"]).eval()
    representation = system.representation
    assert representation is not None
    representation.backbone.load(None)
    image = photographs()
    with torch.no_grad():
        raw = representation.raw(to_image(image)).transpose(0, 1).flatten(1).double()
        representation.whiten(raw.mean(1), torch.cov(raw, correction=0))
        formulas = compose(system, search_record(recipe), recipe.score.search, recipe.score.encoder)
        model = graph_builders(formulas, sizes_of(recipe))["backbone"]()
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        x = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
        torch.testing.assert_close(x, system.represent(to_image(image)), atol=2e-3, rtol=1e-3)
        weights = representation.projections[0].weight.flatten(1).double()
        rows = torch.linalg.solve(weights, (x - representation.shift[:, None, None]).flatten(2).double())
        activations, classifier = rows.reshape(x.shape).float(), Classifier()
        for block in list(classifier.backbone.blocks)[11:]:
            activations = block(activations)
        assert classifier.classify(activations).argmax(1).tolist() == list(CLASSES)
