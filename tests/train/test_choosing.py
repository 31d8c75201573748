"""What a recipe leaves open is chosen by drawn defects: the better of what there is, always the same, and recorded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.opencv import cv2
from ganspect.records import ChoiceRecord
from ganspect.scoring import auroc
from ganspect.train import choosing
from ganspect.train.batches import Batches
from ganspect.train.choosing import choose
from ganspect.train.drawing import DrawnMaps
from ganspect.train.run import load_run
from ganspect.train.systems import parse_recipe

SIDE = 40


def recipe_of(
    system: str = "linear", data: Any = None, backbone: Any = None, discriminator: Any = None, **choice: Any
) -> Recipe:
    content: dict[str, Any] = {
        "system": system,
        "image": {"size_hw": [SIDE, SIDE], "channels": 1},
        "data": data or {},
        "backbone": backbone,
        "discriminator": discriminator,
        "choice": {"latent_sizes": [0], "shares": [0.02], "relatives": [0], **choice},
        "search": {"feature_weight": 0},
        "network": {"latent_size": 6, "linear_path": system != "linear"},
        "score": {"search": "weighed_residual"},
        **({"training": {"encoder": {"steps": 1}}} if system == "anogan" else {}),
    }
    return parse_recipe(content, Path("a.yaml"))


def noisy(count: int, deviations: Any) -> list[Any]:
    """Return grey images around a mean of 128, with noise of so many grey levels at each pixel."""
    values = 128 + np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 1)) * deviations
    return list(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def chosen(recipe: Recipe, images: list[Any]) -> ChoiceRecord:
    batches = Batches(images, recipe.image.size_hw, recipe.data, recipe.seed)
    return choose(recipe, batches, batches, lambda image: image)


def best_of(record: ChoiceRecord, key: str, value: Any) -> float:
    return max(float(row["auroc"]) for row in record.candidates if row[key] == value)


def settings_of(record: ChoiceRecord) -> dict[str, str]:
    return dict(setting.split("=") for setting in record.settings)


def half_quiet() -> Any:
    deviations = np.full((SIDE, SIDE, 1), 2.0)
    deviations[:, SIDE // 2 :] = 60
    return deviations


def test_parts_that_vary_in_one_place_only_are_weighed_place_by_place() -> None:
    """A defect on the quiet half is lost in the noise of the other unless that is known to be noisy."""
    record = chosen(recipe_of(), noisy(60, half_quiet()))
    assert settings_of(record)["score.weighing"] == "place"
    assert best_of(record, "weighing", "place") > best_of(record, "weighing", "pooled") + 0.05


class Blocks:
    """Blocks of 8x8 pixels as places, 16 of each block's pixels as channels: what a backbone gives of a texture."""

    def __init__(self, images: Batches) -> None:
        self.images = images

    def represent(self, image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, 8)[:, ::4]

    def views(self, most: int) -> tuple[Tensor, Tensor]:
        images, groups = self.images.views(most)
        return self.represent(images), groups

    def image_of(self, index: Tensor) -> Tensor:
        return self.images.image_of(index)

    def pairs(self, most: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("a choice needs no pictures")

    def drawn(self, images: int, most: int) -> DrawnMaps:
        raise AssertionError("nothing is drawn for a recipe without a discriminator")


def test_textures_are_weighed_by_what_all_places_have_in_common() -> None:
    """Neighbouring pixels are alike, everywhere: too few images to know that of each place by itself."""
    recipe = recipe_of(backbone={"layers": [0], "stride": 8, "channels": 16})
    random = np.random.default_rng(0)
    noise = [cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)), (0, 0), 3) for _ in range(10)]
    images = [np.clip(128 + 400 * image, 0, 255).astype(np.uint8)[..., None] for image in noise]
    batches = Batches(images, recipe.image.size_hw, recipe.data, recipe.seed)
    blocks = Blocks(batches)
    record = choose(recipe, batches, blocks, blocks.represent)
    assert settings_of(record)["score.weighing"] == "pooled"
    others = [best_of(record, "weighing", weighing) for weighing in ("place", "plain")]
    assert record.auroc > max(others) + 0.05, record.candidates


def low_rank(count: int) -> list[Any]:
    """Return images that are a mixture of four smooth patterns, and hardly any noise."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE * np.pi
    patterns = np.stack([np.cos(rows), np.cos(columns), np.cos(2 * rows), np.cos(rows) * np.cos(columns)])
    values = 128 + 20 * np.einsum("nk,khw->nhw", random.normal(size=(count, 4)), patterns)
    values += random.normal(0, 1, values.shape)
    return list(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None])


def test_a_size_that_explains_the_images_is_chosen() -> None:
    record = chosen(recipe_of(latent_sizes=[0, 4], weighings=["plain"]), low_rank(30))
    assert settings_of(record)["network.latent_size"] == "4"
    assert best_of(record, "latent_size", 4) > best_of(record, "latent_size", 0) + 0.1


def test_images_that_are_noisier_than_others_are_judged_by_their_own_level() -> None:
    """By absolute distances a noisy normal image would look worse than a quiet one with a defect."""
    levels = np.random.default_rng(1).uniform(1.5, 25, (40, 1, 1, 1))
    record = chosen(recipe_of(relatives=[0, 0.5, 1], weighings=["plain"]), noisy(40, levels))
    assert settings_of(record)["score.relative"] in ("0.5", "1.0")
    assert best_of(record, "relative", 0.5) > best_of(record, "relative", 0) + 0.05
    assert (
        settings_of(chosen(recipe_of(weighings=["plain"], relatives=[0.5]), noisy(20, 5.0)))["score.relative"] == "0.5"
    )


def test_textures_get_a_map_of_latents_where_it_is_among_the_candidates() -> None:
    """Smooth noise is never the same twice, but the same few patterns make up each of its blocks."""
    random = np.random.default_rng(0)
    noise = [cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)), (0, 0), 2.5) for _ in range(24)]
    images = [np.clip(128 + 300 * image, 0, 255).astype(np.uint8)[..., None] for image in noise]
    record = chosen(recipe_of(latents=["vector", "map"], latent_sizes=[0, 6], weighings=["plain"]), images)
    assert settings_of(record)["network.latent"] == "map"
    assert best_of(record, "latent", "map") > best_of(record, "latent", "vector") + 0.1
    tried = [(row["latent"], row["latent_size"]) for row in record.candidates]
    assert tried == [("vector", 0), ("vector", 6), ("map", 6)]  # the mean alone is tried once
    assert "network.latent" not in settings_of(chosen(recipe_of(weighings=["plain"]), images))


def test_a_discriminator_is_kept_only_where_it_finds_kinds_that_it_was_not_trained_on() -> None:
    recipe = recipe_of(weighings=["plain"], discriminator={"steps": 20, "width": 8, "batch_size": 8})
    record = chosen(recipe, noisy(30, half_quiet()))
    assert record.discriminator is not None
    kept = record.discriminator["auroc"] > record.discriminator["auroc_without"]
    assert ("discriminator=null" in record.settings) is not kept
    assert record.discriminator["auroc_without"] > 0.5
    assert chosen(recipe_of(weighings=["plain"]), noisy(30, half_quiet())).discriminator is None


@pytest.mark.parametrize("count", [1, 2])
def test_of_too_few_images_no_discriminator_is_kept(count: int) -> None:
    recipe = recipe_of(weighings=["plain"], discriminator={"steps": 2, "width": 4, "batch_size": 4})
    record = chosen(recipe, noisy(count, 20.0))
    assert record.discriminator is None
    assert "discriminator=null" in record.settings


@pytest.mark.parametrize(("auroc_with", "kept"), [(0.9, True), (0.7, False), (0.8, False)])
def test_a_discriminator_must_be_better_than_none(
    monkeypatch: pytest.MonkeyPatch, auroc_with: float, kept: bool
) -> None:
    figures = {"auroc": auroc_with, "auroc_without": 0.8}
    monkeypatch.setattr(choosing, "try_discriminator", lambda *_: figures)
    record = chosen(recipe_of(weighings=["plain"], discriminator={"steps": 2}), noisy(12, 20.0))
    assert record.discriminator == figures
    assert ("discriminator=null" not in record.settings) is kept


def test_the_mean_alone_is_a_vectors_whatever_the_order() -> None:
    record = chosen(recipe_of(latents=["map", "vector"], latent_sizes=[0, 4], weighings=["plain"]), noisy(12, 20.0))
    tried = {(row["latent"], row["latent_size"]) for row in record.candidates}
    assert tried == {("map", 4), ("vector", 0), ("vector", 4)}


def test_every_candidate_is_tried_and_the_best_one_taken() -> None:
    recipe = recipe_of(latent_sizes=[0, 3], weighings=["plain", "pooled"], shares=[0.0, 0.1])
    record = chosen(recipe, low_rank(20))
    tried = [(row["latent_size"], row["weighing"], row["share"]) for row in record.candidates]
    assert tried == [
        (size, weighing, share) for size in (0, 3) for weighing in ("plain", "pooled") for share in (0, 0.1)
    ]
    best = max(record.candidates, key=lambda row: row["auroc"])
    assert record.auroc == best["auroc"]
    assert record.settings == [
        f"network.latent_size={best['latent_size']}",
        f"score.weighing={best['weighing']}",
        f"score.share={best['share']}",
        "score.relative=0.0",
    ]


def test_one_channel_is_weighed_alike_by_pooling_and_by_nothing() -> None:
    """Pooled, a single channel is divided by one number, nearly the same in each fold."""
    record = chosen(recipe_of(weighings=["pooled", "plain"]), low_rank(20))
    assert best_of(record, "weighing", "pooled") == pytest.approx(best_of(record, "weighing", "plain"), abs=0.005)


@pytest.mark.parametrize(
    ("system", "count", "asked", "expected"),
    [
        ("linear", 20, [0, 16, 4, 15, 500], [0, 4, 15]),
        ("linear", 20, [100, 300], [15]),
        ("linear", 20, [], [6]),
        ("anogan", 20, [0, 1, 2, 7], [2, 7]),
        ("anogan", 20, [0], [2]),
        ("linear", 8, [0, 6], [0]),
    ],
)
def test_sizes_beyond_the_images_or_the_system_are_left_out(
    system: str, count: int, asked: list[int], expected: list[int]
) -> None:
    """Of 20 images a fold leaves 16, which span 15 dimensions."""
    record = chosen(recipe_of(system, latent_sizes=asked, weighings=["plain"]), low_rank(count))
    assert [row["latent_size"] for row in record.candidates] == expected


def test_the_same_recipe_and_images_choose_the_same() -> None:
    recipe, images = recipe_of(latent_sizes=[0, 3]), low_rank(20)
    first, again = chosen(recipe, images), chosen(recipe, images)
    assert first == again
    assert chosen(recipe.model_copy(update={"seed": 1}), images).candidates != first.candidates


def test_mirror_images_are_fitted_on_and_neither_drawn_on_nor_counted() -> None:
    recipe = recipe_of(data={"flips": ["vertical", "horizontal"]}, weighings=["plain"], images=12)
    record = chosen(recipe, low_rank(20))
    assert (record.images, record.drawn) == (20, 72)  # six on each of the twelve


def test_an_image_is_judged_by_what_it_was_not_fitted_on() -> None:
    """With as many components as there are images, normal ones would be perfect if they were among these."""
    record = chosen(recipe_of(latent_sizes=[15], weighings=["plain"]), noisy(20, 20.0))
    assert record.auroc < 0.95


def test_what_is_represented_is_the_drawn_image() -> None:
    shown: list[Tensor] = []

    def look(image: Tensor) -> Tensor:
        shown.append(image)
        return image

    recipe, images = recipe_of(weighings=["plain"]), low_rank(20)
    batches = Batches(images, recipe.image.size_hw, recipe.data, recipe.seed)
    choose(recipe, batches, batches, look)
    changed = (torch.cat(shown) - batches.views(20)[0].repeat(4, 1, 1, 1)).abs().amax(1) > 0.02
    assert changed.shape == (80, SIDE, SIDE)  # four on each, since twenty would be few
    assert changed.flatten(1).any(1).all()
    assert changed.float().mean() < 0.3


def test_the_choice_is_recorded_and_a_loaded_run_has_it(features_run: Path) -> None:
    record = json.loads((features_run / "run.json").read_text())["choice"]
    assert record["settings"] == [
        "network.latent_size=7", "score.weighing=place", "score.share=0.05", "score.relative=0.5",
    ]  # fmt: skip
    assert (record["images"], record["drawn"], len(record["candidates"])) == (16, 64, 1)
    run = load_run(features_run)
    assert run.choice == ChoiceRecord.model_validate(record)
    assert (run.recipe.network.latent_size, run.recipe.score.share) == (7, 0.05)
    assert run.system.latent_deviation.shape == (7,)
    assert "latent_size: 6" in (features_run / "config.yaml").read_text()  # as it was asked for


def test_auroc_is_the_share_of_pairs_with_ties_counting_half() -> None:
    random = np.random.default_rng(0)
    for high in (3, 50):
        normal, anomalous = random.integers(0, high, 31), random.integers(1, high + 1, 17)
        difference = np.subtract.outer(anomalous, normal)
        assert auroc(normal, anomalous) == pytest.approx(((difference > 0) + 0.5 * (difference == 0)).mean())
    assert (auroc([1.0, 2.0], [3.0]), auroc([1.0], [0.0]), auroc([1.0], [1.0, 1.0])) == (1, 0, 0.5)


def test_a_choice_that_nothing_depends_on_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"choice decides how weighed_residual is taken, but the recipe deploys resid"
    ):
        parse_recipe(
            {"system": "fanogan", "choice": {}, "score": {"search": "residual_mean"}, "backbone": {}}, Path("a.yaml")
        )
    with pytest.raises(ConfigError, match=r"choice is about what a PCA leaves, but fanogan starts at none by this rec"):
        parse_recipe({"system": "fanogan", "choice": {}, "score": {"search": "weighed_residual"}}, Path("a.yaml"))


@pytest.mark.parametrize("sections", [{"backbone": {}}, {"choice": {}}, {"backbone": None}, {}])
def test_a_recipe_that_is_written_and_read_back_is_the_same(sections: dict[str, Any]) -> None:
    recipe = parse_recipe({"system": "linear", **sections}, Path("a.yaml"))
    assert parse_recipe(recipe.model_dump(mode="json"), Path("a.yaml")) == recipe
