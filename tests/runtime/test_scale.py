import math

import numpy as np
import pytest

from ganspect.bundle import append_calibration, open_bundle
from ganspect.errors import CalibrationError
from ganspect.records import ScoreRange
from ganspect.runtime.scale import LEAST_SPAN, ScoreScale, min_max_scale, score_scale
from tests.runtime.conftest import change_manifest


def test_the_lowest_is_0_and_the_highest_1():
    scale = min_max_scale(ScoreRange(low=0.5, high=2.5))
    assert [scale.of(score) for score in (0.5, 1.0, 2.5, 4.5)] == [0.0, 0.25, 1.0, 2.0]
    np.testing.assert_array_equal(scale.of(np.array([0.0, 1.5])), [-0.25, 0.5])


@pytest.mark.parametrize("scale", [ScoreScale(), min_max_scale(ScoreRange(low=0.5, high=2.5))])
def test_what_is_not_finite_stays_so(scale):
    scaled = scale.of(np.array([np.nan, np.inf, -np.inf]))
    np.testing.assert_array_equal(scaled, [np.nan, np.inf, -np.inf])
    assert scale.of(math.inf) == math.inf


def test_without_a_scale_scores_are_shown_bit_for_bit():
    scores = np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(ScoreScale().of(scores), scores)


@pytest.mark.parametrize(("value", "span"), [(0.2, 0.2 * LEAST_SPAN), (-3.0, 3.0 * LEAST_SPAN), (0.0, 1.0)])
def test_a_range_of_one_score_has_a_least_span(value, span):
    scale = min_max_scale(ScoreRange(low=value, high=value))
    assert (scale.low, scale.span) == (value, span)
    assert scale.of(value) == 0


def test_each_mode_has_its_own_range(copy, tiny_bundle):
    bundle = open_bundle(change_manifest(copy(tiny_bundle), scores={"scale": "min_max"}))
    calibration = bundle.require_calibration()
    for mode, scores in (("search", calibration.search_range), ("encoder", calibration.encoder_range)):
        assert score_scale(bundle, mode) == min_max_scale(scores)
    assert score_scale(bundle, "search") != score_scale(bundle, "encoder")
    assert score_scale(open_bundle(tiny_bundle), "search") == ScoreScale()


@pytest.mark.parametrize("mode", ["search", "encoder"])
def test_a_calibration_without_a_range_asks_for_another(copy, tiny_bundle, mode):
    folder = change_manifest(copy(tiny_bundle), scores={"scale": "min_max"})
    record = open_bundle(folder).require_calibration()
    append_calibration(folder, record.model_copy(update={f"{mode}_range": None}))
    with pytest.raises(
        CalibrationError, match=rf"recorded no range of the {mode} score; run: ganspect calibrate"
    ) as at:
        score_scale(open_bundle(folder), mode)
    assert "\n" not in str(at.value)
