"""Search or encoder: drawn defects decide, and only what is sure lets the search in."""

from pathlib import Path

import numpy as np
import pytest

from ganspect.export import deciding
from ganspect.export.deciding import paired_interval
from ganspect.scoring import auroc
from tests.conftest import texture

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.normal(0, 1, 40)
SOURCE = np.arange(80) % 40
WEAK = RANDOM.normal(0.5, 1, 80)
STRONG = RANDOM.normal(3, 1, 80)


def test_a_search_that_is_surely_better_has_its_whole_interval_above_zero() -> None:
    low, high = paired_interval((NORMAL, STRONG), (NORMAL, WEAK), SOURCE)
    assert 0 < low < auroc(NORMAL, STRONG) - auroc(NORMAL, WEAK) < high


def test_modes_that_score_alike_differ_by_nothing() -> None:
    assert paired_interval((NORMAL, WEAK), (NORMAL, WEAK), SOURCE) == (0, 0)


def test_a_search_that_harms_has_it_below() -> None:
    _, high = paired_interval((NORMAL, WEAK), (NORMAL, STRONG), SOURCE)
    assert high < 0


def test_defects_come_and_go_with_the_image_they_were_drawn_on() -> None:
    """One image whose defects alone the search finds: without it the two are alike, so nothing is sure."""
    found = np.where(SOURCE == 0, 50.0, WEAK)
    low, high = paired_interval((NORMAL, found), (NORMAL, WEAK), SOURCE)
    assert low == pytest.approx(0, abs=1e-9)
    assert high > 0


@pytest.mark.parametrize(("frames", "mode"), [(1, "encoder"), (7, "encoder"), (8, "search")])
def test_few_images_are_never_sure(
    features_bundle: Path, monkeypatch: pytest.MonkeyPatch, frames: int, mode: str
) -> None:
    """With one image every resample is the same, and so the interval has no width."""
    monkeypatch.setattr(deciding, "paired_interval", lambda *_: (0.1, 0.2))
    random = np.random.default_rng(0)
    found = deciding.decide_mode(features_bundle, [texture(random) for _ in range(frames)], seed=0)
    assert (found.mode, found.images) == (mode, frames)
    assert found.drawn == 64
