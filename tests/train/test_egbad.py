from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganspect.errors import ConfigError
from ganspect.scoring import SCORES
from ganspect.train.bigan import BiganStage
from ganspect.train.compute import Compute
from ganspect.train.egbad import Egbad
from ganspect.train.run import load_run
from ganspect.train.system import System
from ganspect.train.systems import parse_recipe
from tests.conftest import train_system
from tests.train.stages import images, tiny

CPU = Compute(torch.device("cpu"), "fp32")
OVERRIDES = (
    "network.dropout=0.5", "network.width=4", "image.size_hw=[28,36]", "data.shift_px=2", "data.flips=[horizontal]",
    "training.bigan.steps=7", "training.bigan.batch_size=4", "training.bigan.learning_rate=0.002",
    "training.bigan.r1_weight=1", "training.bigan.reconstruction_weight=1", "training.bigan.average=0.9",
    "training.bigan.schedule=cosine", "training.refine.steps=3", "training.refine.batch_size=4",
    "training.checkpoint_every=3", "training.log_every=2",
)  # fmt: skip


def train(out: Path, source: Path, *overrides: str) -> Path:
    return train_system("egbad", out, source, *OVERRIDES, *overrides)


def parse(**content: object) -> Egbad:
    recipe = parse_recipe({"system": "egbad", **content}, Path("a.yaml"))
    assert isinstance(recipe, Egbad.recipe_type)
    return recipe  # type: ignore[return-value]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    return train(tmp_path_factory.mktemp("egbad") / "run", mvtec_folder)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_killed_runs_go_on_to_the_same_weights_dropout_included(
    run: Path, mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    step, taken = BiganStage.step, []

    def killed(self: BiganStage, *arguments: object) -> dict[str, torch.Tensor]:
        taken.append(1)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)  # type: ignore[arg-type]

    asked = f"training.precision={precision}"
    whole = run if precision == "fp32" else train(tmp_path / "whole", mvtec_folder, asked)
    monkeypatch.setattr(BiganStage, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", mvtec_folder, asked)
    torch.manual_seed(99)
    train(tmp_path / "broken", mvtec_folder, asked)
    assert len(taken) == 5 + 4  # the checkpoint is of step 3
    first, second = (load_file(path / "weights.safetensors") for path in (whole, tmp_path / "broken"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_is_logged_and_its_health_judged(run: Path) -> None:
    header = (run / "log.csv").read_text().splitlines()[0]
    assert "diversity,separated,logit_gap" in header
    assert all(name in header for name in ("discriminator", "r1", "generator", "encoder", "residual"))
    assert [path.name for path in sorted((run / "samples").iterdir())] == ["bigan_000007.png", "refine_000003.png"]
    assert load_run(run).training.steps == {"bigan": 7, "refine": 3}


@pytest.mark.parametrize(
    ("network", "channels", "size_hw"),
    [({}, 3, (28, 41)), ({}, 1, (64, 40)), ({}, 1, (128, 128)), ({"layout": "mnist", "dropout": 0.5}, 1, (28, 28))],
)
def test_images_of_any_size(network: dict[str, object], channels: int, size_hw: tuple[int, int]) -> None:
    system = tiny("egbad", network, channels, size_hw)
    shown = images(2, channels, size_hw)
    latent = system.encode(shown)
    assert latent.shape == (2, 6)
    assert system.generator(latent).shape == shown.shape
    seen = system.see(shown, latent)
    assert seen.features is not None
    assert seen.logit is not None
    assert (seen.features.shape, seen.logit.shape, seen.code) == ((2, 1024), (2,), None)


def test_what_is_seen_hangs_on_the_image_under_inspection() -> None:
    system, shown = tiny("egbad"), images(2)
    latent = torch.randn(2, 6)
    match = system.match(shown, latent)
    anchor, reconstruction = system.encode(shown), system.generator(latent)
    assert torch.equal(match.anchor, anchor)
    assert torch.equal(match.features, system.features(shown, anchor))
    assert torch.equal(match.reconstruction_features, system.features(reconstruction, anchor))
    assert torch.equal(match.reconstruction_logit, system.head(system.features(reconstruction, anchor)))
    assert not torch.allclose(match.anchor, system.encode(reconstruction))


def test_the_papers_scores_by_their_formulas() -> None:
    system, shown, alpha = tiny("egbad"), images(3), 0.7
    system.recipe = parse(score={"alpha": alpha}, network={"latent_size": 6, "width": 4})
    e = system.encode(shown)
    g = system.generator(e)
    residual = alpha * (shown - g).abs().sum((1, 2, 3))
    f = system.features
    wanted = {
        "egbad_feature_matching": (f(shown, e) - f(g, e)).abs().sum(1),
        "egbad_cross_entropy": -torch.log(torch.sigmoid(system.head(f(shown, e)))),
        "egbad_cross_entropy_code": -torch.log(torch.sigmoid(system.head(f(g, e)))),
    }
    for name, discrimination in wanted.items():
        found = SCORES[name].of(system.match(shown, e), system.score_weights)
        torch.testing.assert_close(found, residual + (1 - alpha) * discrimination)
    torch.testing.assert_close(system.encoder_score(shown), residual + 0.3 * wanted["egbad_feature_matching"])


def test_weights_begin_as_the_authors() -> None:
    system = tiny("egbad", {"layout": "mnist"})
    weights = torch.cat([p.flatten() for name, p in system.named_parameters() if name.endswith("joint.0.weight")])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
    assert not system.get_parameter("features.joint.0.bias").any()


def test_refinement_is_left_out_unless_it_has_steps() -> None:
    assert list(tiny("egbad").stages(CPU)) == ["bigan"]
    system: System = tiny("egbad")
    system.recipe = parse(training={"refine": {"steps": 2}})
    assert list(system.stages(CPU)) == ["bigan", "refine"]


def test_the_authors_settings_are_the_defaults() -> None:
    recipe = parse_recipe({"system": "egbad"}, Path("a.yaml")).model_dump()
    bigan = recipe["training"]["bigan"]
    assert (bigan["learning_rate"], bigan["beta1"], bigan["batch_size"], bigan["average"]) == (1e-5, 0.5, 100, 0.999)
    assert (bigan["r1_weight"], bigan["reconstruction_weight"]) == (0, 0)
    assert (recipe["network"]["latent_size"], recipe["score"]["alpha"]) == (200, 0.9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"network": {"layout": "mnist"}, "image": {"size_hw": [28, 32], "channels": 3}},
            "network.layout 'mnist' is for 28x28 grey images, image is 28x32 with 3 channels; use dcgan",
        ),
        ({"network": {"layout": "mnits"}}, "'network.layout': input should be 'dcgan' or 'mnist' (given: 'mnits')"),
        (
            {"network": {"layout": "mnist", "linear_path": True}, "image": {"size_hw": [28, 28]}},
            "network.layout 'mnist' has no linear path",
        ),
        ({"network": {"feature_levels": 2}}, "network.feature_levels is not egbad's"),
        ({"training": {"refine": {"variant": "izi_f"}}}, "training.refine.variant must be izi for egbad"),
        ({"network": {"dropout": 1.0}}, "'network.dropout': input should be less than 1 (given: 1.0)"),
        ({"network": {"latent_size": 1}}, "'network.latent_size': input should be greater than or equal to 2"),
        ({"score": {"alpha": 1.5}}, "'score.alpha': input should be less than or equal to 1 (given: 1.5)"),
        ({"score": {"alpha": -0.1}}, "'score.alpha': input should be greater than or equal to 0 (given: -0.1)"),
        ({"score": {"feature_weight": 2}}, "'score.feature_weight': input should be less than or equal to 1"),
        ({"search": {"feature_weight": -1}}, "'search.feature_weight': input should be greater than or equal to 0"),
        ({"score": {"search": "ganomaly"}}, "score.search is 'ganomaly', which egbad cannot compute; choose one of"),
        ({"training": {"bigan": {"r1_weight": -1}}}, "'training.bigan.r1_weight': input should be greater"),
        ({"training": {"gan": {"steps": 2}}}, "unknown key 'training.gan'; did you mean 'bigan'?"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(content: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe({"system": "egbad", **content}, Path("a.yaml"))
    sentence = str(caught.value)
    assert sentence.startswith("a.yaml: ")
    assert message in sentence
    assert "\n" not in sentence
