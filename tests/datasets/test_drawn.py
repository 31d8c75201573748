"""Defects drawn into normal images: what changes, how much, and that it varies."""

from typing import Any, get_args

import numpy as np
import pytest

from ganspect.datasets.drawn import KINDS, LEAST_CHANGE, LEAST_MEAN_CHANGE, Drawn, Image, Kind, draw_defect


def part(height: int, width: int, channels: int) -> Image:
    """A disc with a texture of stripes on a plain bright background; in colour each channel has its own level."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - width / 2) < 0.4 * min(height, width)
    levels = np.array([90, 140, 60])[:channels]
    texture = levels + 25 * np.sin(x / 3)[..., None]
    return np.where(disc[..., None], texture, 230).astype(np.uint8)


def binary(side: int) -> Image:
    y, x = np.mgrid[:side, :side]
    return (((y // 8) % 3 == 0) | (x > side // 2))[..., None].astype(np.uint8) * 255


IMAGES = {"grey": part(28, 28, 1), "colour": part(300, 200, 3), "tall": part(120, 64, 1), "binary": binary(64)}
CONSTANT = {level: np.full((40, 52, 3), level, np.uint8) for level in (0, 127, 128, 255)}


def draws(image: Image, kind: Kind | None, count: int) -> list[Drawn]:
    random = np.random.default_rng(0)
    return [draw_defect(image, random, kind=kind) for _ in range(count)]


def change(image: Image, drawn: Drawn) -> Any:
    return np.abs(drawn.image.astype(int) - image)


def keeps_its_promises(image: Image, drawn: Drawn) -> bool:
    changed = change(image, drawn)
    return (
        drawn.image.dtype == np.uint8
        and np.array_equal(drawn.mask, changed.max(2) >= LEAST_CHANGE)
        and not changed[~drawn.mask].any()
        and changed[drawn.mask].mean() >= LEAST_MEAN_CHANGE
        and drawn.contrast == pytest.approx(changed[drawn.mask].mean() / 255)
        and 0 < drawn.size < 5
    )


def test_kinds_are_those_of_the_type() -> None:
    assert get_args(Kind) == KINDS


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_changes_its_mask_visibly_and_nothing_else(kind: Kind, image: Image) -> None:
    before = image.copy()
    drawn = draws(image, kind, 12)
    assert all(keeps_its_promises(image, one) for one in drawn)
    assert sum(one.kind == kind for one in drawn) > 8
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides_alone(kind: Kind) -> None:
    first, again = (draws(IMAGES["tall"], kind, 3) for _ in range(2))
    assert [(a.kind, a.size, a.contrast) for a in first] == [(b.kind, b.size, b.contrast) for b in again]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].mask, first[1].mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", CONSTANT.values(), ids=CONSTANT)
def test_where_a_kind_cannot_be_seen_a_spot_is_drawn(image: Image, kind: Kind) -> None:
    drawn = draws(image, kind, 3)
    assert all(keeps_its_promises(image, one) for one in drawn)
    assert {one.kind for one in drawn} <= {kind, "spot"}
    assert kind not in ("missing", "displaced") or {one.kind for one in drawn} == {"spot"}


def test_the_last_resort_is_visible_on_white_dots_on_black(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.datasets.drawn._TRIES", 0)
    y, x = np.mgrid[:32, :96]
    image = ((y % 16 < 6) & (x % 16 < 6))[..., None].astype(np.uint8) * 255
    assert all(keeps_its_promises(image, one) and one.kind == "spot" for one in draws(image, "shade", 60))


def test_texture_in_place_of_the_same_texture_is_no_defect() -> None:
    noise = np.random.default_rng(1).normal(100, 7, (160, 160, 1)).astype(np.uint8)
    assert {one.kind for one in draws(noise, "displaced", 10)} == {"spot"}


def test_kinds_are_drawn_alike_often() -> None:
    kinds = [one.kind for one in draws(IMAGES["grey"], None, 240)]
    assert all(20 < kinds.count(kind) < 65 for kind in KINDS)


def test_sizes_and_contrasts_spread_over_an_order_of_magnitude() -> None:
    drawn = draws(part(100, 100, 1), None, 160)
    for values in ([one.size for one in drawn], [one.contrast for one in drawn]):
        low, high = np.quantile(values, [0.05, 0.95])
        assert high > 10 * low


@pytest.mark.parametrize("kind", ["scratch", "missing", "displaced", "blur", "shade"])
def test_some_defects_cover_much_of_the_image(kind: Kind) -> None:
    drawn = draws(part(100, 100, 1), kind, 80)
    assert sum(one.size > 0.7 for one in drawn) >= 8
    assert sum(one.size < 0.5 for one in drawn) >= 8
    if kind in ("missing", "displaced", "shade"):
        assert sum(one.mask.mean() > 0.25 for one in drawn) >= 6


def test_a_defect_that_leaves_nothing_around_it_is_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.datasets.drawn._LARGEST", 40.0)
    assert all(keeps_its_promises(IMAGES["tall"], one) for kind in KINDS for one in draws(IMAGES["tall"], kind, 12))


def test_sizes_and_contrasts_are_drawn_independently() -> None:
    drawn = draws(part(100, 100, 1), "spot", 160)
    assert abs(np.corrcoef([np.log([one.size, one.contrast]) for one in drawn], rowvar=False)[0, 1]) < 0.4


def test_most_defects_touch_the_part() -> None:
    y, x = np.mgrid[:120, :200]
    disc = np.hypot(y - 60, x - 50) < 25  # 8 % of the image
    image = np.where(disc[..., None], part(120, 200, 3) // 2, 230).astype(np.uint8)
    assert np.mean([(one.mask & disc).any() for one in draws(image, None, 80)]) > 0.6


def test_a_hue_changes_without_black_or_white() -> None:
    image = np.broadcast_to(np.array([200, 40, 40], np.uint8), (32, 32, 3))  # read-only, and not contiguous
    lows = [one.image[one.mask].min() for one in draws(image, "spot", 60)]
    assert sum(low == 40 for low in lows) > 3


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 27, 1), np.uint8),
        np.zeros((40, 40, 1), np.float32),
    ],
)
def test_other_images_are_refused(image: Any) -> None:
    with pytest.raises(ValueError, match=r"defects are drawn into uint8 images \(H,W,1\) or \(H,W,3\)"):
        draw_defect(image, np.random.default_rng(0))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind of defect 'dent'; use one of spot, scratch"):
        draw_defect(IMAGES["grey"], np.random.default_rng(0), kind="dent")  # type: ignore[arg-type]
