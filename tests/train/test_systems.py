from pathlib import Path

import pytest

from ganspect.errors import ConfigError
from ganspect.sections import read_yaml
from ganspect.train.systems import SYSTEMS, find_system, parse_recipe

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["fanogam", None, 3])
def test_unknown_system(name: object) -> None:
    with pytest.raises(ConfigError, match="there is no system"):
        find_system(name, "a.yaml")


def test_the_nearest_system_is_named() -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: there is no system 'fanogam'; did you mean 'fanogan'"):
        find_system("fanogam", "a.yaml")


@pytest.mark.parametrize(
    "config", sorted(set(CONFIGS.glob("*.yaml")) - set(CONFIGS.glob("station*.yaml"))), ids=lambda path: path.stem
)
def test_every_recipe_is_valid_and_its_first_line_runs_it(config: Path) -> None:
    recipe = parse_recipe(read_yaml(config, []), config)
    assert recipe.system in SYSTEMS
    first = config.read_text().splitlines()[0]
    assert first.startswith(f"# ganspect train configs/{config.name} ")
    assert " --out " in first
    assert recipe.data.source is not None or "--set data.source=" in first


def test_a_key_of_a_stage_is_checked_with_its_nearest_match() -> None:
    content = {"system": "fanogan", "training": {"gan": {"critic_step": 3}}}
    with pytest.raises(ConfigError, match=r"unknown key 'training\.gan\.critic_step'; did you mean 'critic_steps'"):
        parse_recipe(content, Path("a.yaml"))


def test_fanogan_cannot_do_without_an_encoder() -> None:
    with pytest.raises(ConfigError, match=r"training\.encoder\.steps"):
        parse_recipe({"system": "fanogan", "training": {"encoder": {"steps": 0}}}, Path("a.yaml"))


def test_a_linear_path_of_anogan_needs_an_encoder() -> None:
    with pytest.raises(ConfigError, match=r"linear_path needs an encoder.*; set training\.encoder\.steps"):
        parse_recipe({"system": "anogan", "network": {"linear_path": True}}, Path("a.yaml"))


def test_a_score_at_an_encoder_that_is_not_trained_is_refused() -> None:
    content = {"system": "anogan", "score": {"encoder": "residual_mean"}}
    with pytest.raises(
        ConfigError, match=r"a\.yaml: score\.encoder is 'residual_mean', but no encoder is trained; set"
    ):
        parse_recipe(content, Path("a.yaml"))
    parse_recipe({**content, "training": {"encoder": {"steps": 5}}}, Path("a.yaml"))


def test_an_anchor_needs_a_linear_path() -> None:
    with pytest.raises(ConfigError, match=r"anchor_weight needs network\.linear_path"):
        parse_recipe({"system": "fanogan", "training": {"gan": {"anchor_weight": 1}}}, Path("a.yaml"))


@pytest.mark.parametrize(("side", "share", "possible"), [(224, 0.2, 0.076), (512, 0.05, 0.014)])
def test_more_than_tensorrt_can_sort_out_is_not_trimmed(side: int, share: float, possible: float) -> None:
    def content(share: float, **sections: object) -> dict[str, object]:
        search = {"residual": "trimmed", "trimmed_share": share}
        return {"system": "fanogan", "image": {"size_hw": [side, side]}, "search": search, **sections}

    with pytest.raises(
        ConfigError,
        match=rf"^a\.yaml: search\.trimmed_share is {share}, \d+ of {side**2} places, but TensorRT can leave out at "
        rf"most 3839; lower it to {possible} or less$",
    ):
        parse_recipe(content(share), Path("a.yaml"))
    parse_recipe(content(possible), Path("a.yaml"))
    parse_recipe(content(share, backbone={"stride": 8}), Path("a.yaml"))  # a place of features is 8x8 pixels


def test_the_papers_settings_are_the_defaults() -> None:
    fanogan = parse_recipe({"system": "fanogan"}, Path("a.yaml")).model_dump()["training"]
    gan = fanogan["gan"]
    assert (gan["loss"], gan["critic_steps"], gan["learning_rate"], gan["beta1"], gan["beta2"]) == (
        "wgan-gp",
        5,
        1e-4,
        0,
        0.9,
    )
    assert (gan["penalty_weight"], fanogan["encoder"]["learning_rate"], fanogan["encoder"]["optimizer"]) == (
        10,
        5e-5,
        "rmsprop",
    )
    anogan = parse_recipe({"system": "anogan"}, Path("a.yaml")).model_dump()["training"]
    assert (anogan["gan"]["loss"], anogan["gan"]["learning_rate"], anogan["gan"]["beta1"]) == (
        "non-saturating",
        2e-4,
        0.5,
    )
    assert anogan["encoder"]["steps"] == 0
