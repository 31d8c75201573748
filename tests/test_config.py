from pathlib import Path

import pytest

from ganspect.config import Recipe, read_recipe, to_yaml
from ganspect.errors import ConfigError
from ganspect.sections import nearest, read_yaml


@pytest.fixture
def recipe_file(tmp_path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("system: fanogan\nimage:\n  size_hw: [64, 96]\n")
    return path


def _refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_recipe(path, list(overrides), Recipe)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_recipe_is_read_and_overridden(recipe_file):
    recipe = read_recipe(recipe_file, ["data.source=images", "seed=3", "image.channels=3", "search.clip=null"], Recipe)
    assert recipe.image.size_hw == (64, 96)
    assert recipe.image.channels == 3
    assert recipe.data.source == "images"
    assert recipe.seed == 3
    assert recipe.search.clip is None


def test_a_recipe_survives_writing_and_reading(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file, ["data.path=/data/mnist.npz", "data.flips=[horizontal]"], Recipe)
    copy = tmp_path / "copy.yaml"
    copy.write_text(to_yaml(recipe))
    assert read_recipe(copy, [], Recipe) == recipe


def test_a_key_that_stands_there_twice_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("system: fanogan\nseed: 1\nseed: 2\n")
    assert "the key 'seed' stands there twice" in _refusal(tmp_path / "a.yaml")


def test_keys_that_a_merge_overrides_are_not_twice(tmp_path):
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}\n"
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml", [])["c"] == {"x": 3, "y": 4}


def test_a_missing_file_is_named(tmp_path):
    assert "cannot read the recipe" in _refusal(tmp_path / "absent.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot read the recipe" in _refusal(tmp_path / "a.yaml")


def test_broken_yaml_is_refused_with_its_place(tmp_path):
    (tmp_path / "a.yaml").write_text("system: [fanogan\nseed: 1\n")
    assert "is not valid YAML" in _refusal(tmp_path / "a.yaml")
    assert "line 2" in _refusal(tmp_path / "a.yaml")


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "fanogan"])
def test_yaml_that_is_no_mapping_is_refused(tmp_path, content):
    (tmp_path / "a.yaml").write_text(content)
    assert "holds no settings; expected 'key: value' lines" in _refusal(tmp_path / "a.yaml")


def test_an_unknown_key_is_named_with_file_and_nearest_match(recipe_file):
    message = _refusal(recipe_file, "sede=1")
    assert str(recipe_file) in message
    assert "unknown key 'sede'; did you mean 'seed'?" in message


def test_an_unknown_key_of_a_section_is_named_with_its_section(recipe_file):
    assert "unknown key 'image.size'; did you mean 'size_hw'?" in _refusal(recipe_file, "image.size=[64,64]")


def test_an_unknown_key_like_no_other_lists_what_is_allowed(recipe_file):
    assert "unknown key 'network.qqq'; expected one of width, latent, latent_size" in _refusal(
        recipe_file, "network.qqq=1"
    )


def test_a_missing_key_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 1\n")
    assert "'system': a value is missing" in _refusal(tmp_path / "a.yaml")


def test_a_wrong_type_shows_what_was_given(recipe_file):
    message = _refusal(recipe_file, "seed=many")
    assert "'seed': input should be a valid integer" in message
    assert "(given: 'many')" in message


@pytest.mark.parametrize(
    ("size", "limit"), [("[0,64]", "28"), ("[64,-1]", "28"), ("[27,64]", "28"), ("[64,50000]", "512")]
)
def test_an_impossible_size_names_the_limit(recipe_file, size, limit):
    message = _refusal(recipe_file, f"image.size_hw={size}")
    assert "'image.size_hw." in message
    assert limit in message


def test_a_size_of_one_number_is_refused(recipe_file):
    assert "'image.size_hw.1': a value is missing" in _refusal(recipe_file, "image.size_hw=[64]")
    refusal = _refusal(recipe_file, "image.size_hw=64")
    assert "a list was expected, such as [64, 64] or [{…}, {…}] (given: 64)" in refusal


@pytest.mark.parametrize("setting", ["score.kappa=.inf", "search.learning_rate=.nan"])
def test_a_number_without_end_is_refused(recipe_file, setting):
    assert f"{setting.partition('=')[0]!r}: a finite number was expected" in _refusal(recipe_file, setting)


def test_a_value_in_place_of_a_section_is_refused(recipe_file):
    assert "'network': a section of settings was expected, not a value (given: 3)" in _refusal(recipe_file, "network=3")


def test_an_unknown_score_lists_the_known_ones(recipe_file):
    message = _refusal(recipe_file, "score.search=psnr")
    assert "'score': unknown score 'psnr'; expected one of" in message
    assert "residual_mean" in message


def test_the_search_cannot_track_the_encoder_score(recipe_file):
    assert "unknown score 'paper'" in _refusal(recipe_file, "score.search=paper")


def test_an_override_without_equals_is_refused(recipe_file):
    assert "--set 'seed' has no '=' between a key and its value" in _refusal(recipe_file, "seed")


def test_an_override_below_a_value_is_refused(recipe_file):
    assert "--set 'seed.x=1': 'seed' is no section" in _refusal(recipe_file, "seed=1", "seed.x=1")


def test_an_override_with_broken_yaml_is_refused(recipe_file):
    assert "the value is not valid YAML; quote it" in _refusal(recipe_file, "image.size_hw=[64")


def test_overrides_may_name_a_section_that_the_file_lacks(recipe_file):
    assert read_yaml(recipe_file, ["network.width=16"])["network"] == {"width": 16}


def test_a_recipe_cannot_be_changed_after_reading(recipe_file):
    recipe = read_recipe(recipe_file, [], Recipe)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 2


def test_nearest_says_what_was_probably_meant():
    assert nearest("fanogen", ["anogan", "fanogan"]) == "did you mean 'fanogan'?"
    assert nearest("x", ["anogan", "fanogan"]) == "expected one of anogan, fanogan"


def test_a_weighed_loss_needs_a_weighing(recipe_file):
    message = _refusal(recipe_file, "search.residual=weighed")
    assert "search.residual is 'weighed', but score.weighing is absent, so that nothing is weighed; set" in message
    assert read_recipe(recipe_file, ["search.residual=weighed", "score.weighing=plain"], Recipe).score.weighing
    assert read_recipe(recipe_file, ["search.residual=weighed", "backbone.channels=8"], Recipe).score.weighing


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.residual=square", "'search.residual': input should be 'absolute', 'huber', 'trimmed' or 'weighed'"),
        ("search.huber_delta=0", "'search.huber_delta': input should be greater than 0"),
        ("search.trimmed_share=0", "'search.trimmed_share': input should be greater than 0"),
        ("search.trimmed_share=0.6", "'search.trimmed_share': input should be less than or equal to 0.5"),
    ],
)
def test_an_impossible_loss_is_refused(recipe_file, setting, message):
    assert message in _refusal(recipe_file, setting)


def test_burn_in_must_leave_a_step_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("system: fanogan\nsearch: {steps: 5, burn_in: 5}\n")
    with pytest.raises(ConfigError, match="burn_in is 5, but must be under steps"):
        read_recipe(path, [], Recipe)
