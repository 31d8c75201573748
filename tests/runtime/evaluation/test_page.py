import base64
from typing import Any

import numpy as np
import pytest

from ganspect.opencv import cv2
from ganspect.preprocess import TileGrid, to_tiles
from ganspect.runtime.evaluation.cases import OpenedCase, common_heat_scale, draw_case
from ganspect.runtime.evaluation.curve import balanced_part
from ganspect.runtime.evaluation.findings import headline_of
from ganspect.runtime.evaluation.page import Card, Page, Section, Table, render
from ganspect.runtime.evaluation.plots import SYSTEM_STYLES, Line, histogram_plot, roc_plot


def metrics(
    low: float,
    high: float,
    same_score: dict[str, Any] | None = None,
    baselines: dict[str, Any] | None = None,
    training_steps: dict[str, int] | None = None,
    score: str = "weighed_residual",
) -> dict[str, Any]:
    return {
        "image": {"auroc": {"value": 0.9}},
        "pca": {"image": {"auroc": {"value": 0.8}}, "deployed_score": same_score},
        "delta_pca": {"value": (low + high) / 2, "low": low, "high": high},
        "at_threshold": {"tpr": 0.75, "fpr": 0.02},
        "notes": {},
        "baselines": baselines or {},
        "bundle": {
            "training_steps": {"gan": 100} if training_steps is None else training_steps,
            "encoder_score": score,
        },
        "protocol": {"mode": "encoder"},
    }


@pytest.mark.parametrize(
    ("low", "high", "tone", "words"),
    [
        (0.01, 0.05, "good", "It is better than PCA"),
        (-0.05, -0.01, "bad", "PCA, a far simpler model, is better"),
        (-0.01, 0.02, "plain", "cannot be told from PCA"),
    ],
)
def test_headline_says_whether_pca_is_beaten_for_sure(low: float, high: float, tone: str, words: str) -> None:
    headline, found = headline_of(metrics(low, high))
    assert found == tone
    assert words in headline
    assert "finds 75.0% of the defects and flags 2.0% of the normal images" in headline


@pytest.mark.parametrize(
    ("usual", "same", "tone", "words"),
    [
        ((0.05, 0.15), (-0.06, -0.04), "bad", "PCA under the same score, a far simpler model, is better"),
        ((-0.03, -0.01), (0.02, 0.04), "bad", "PCA, a far simpler model, is better"),
        ((0.05, 0.15), (-0.01, 0.02), "plain", "cannot be told from PCA under the same score"),
        # The usual PCA is the weaker one, but too uncertain to be beaten for sure.
        ((-0.010, 0.032), (0.004, 0.016), "plain", "cannot be told from PCA,"),
        ((0.05, 0.15), (0.03, 0.06), "good", "It is better than PCA,"),
    ],
)
def test_headline_is_good_only_if_both_pcas_are_beaten_for_sure(
    usual: tuple[float, float], same: tuple[float, float], tone: str, words: str
) -> None:
    low, high = same
    alike = {"image": {"auroc": {"value": 0.85}}, "delta": {"value": (low + high) / 2, "low": low, "high": high}}
    headline, found = headline_of(metrics(*usual, alike))
    assert (found, words in headline) == (tone, True)


@pytest.mark.parametrize(
    ("training_steps", "score", "tone", "words"),
    [
        ({"gan": 100}, "weighed_residual", "bad", "is better: train longer, or do without a GAN"),
        ({}, "weighed_residual", "good", "It is better than the simple detectors beside it"),
        # The PCA beside it has another score then, and is a rival.
        ({}, "weighed_residual + latent_mahalanobis", "bad", "PCA, features, a far simpler model, is better: let more"),
    ],
)
def test_headline_counts_the_detectors_on_the_same_features(
    training_steps: dict[str, int], score: str, tone: str, words: str
) -> None:
    features = {
        "pca_features": {"image": {"auroc": {"value": 0.95}}, "delta": {"value": -0.02, "low": -0.03, "high": -0.01}},
        "padim": {"image": {"auroc": {"value": 0.9}}, "delta": {"value": 0.05, "low": 0.02, "high": 0.08}},
    }
    headline, found = headline_of(metrics(0.05, 0.15, None, features, training_steps, score))
    assert (found, words in headline) == (tone, True)


def test_names_cannot_bring_markup_into_the_page() -> None:
    page = Page(
        title="<b>parts</b>",
        subtitle="",
        headline="",
        tone="plain",
        cards=(Card("<i>", "1", "&"),),
        sections=(Section("scores", table=Table(("a",), (("<script>alert(1)</script>",),))),),
        footer="",
    )
    html = render(page)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;b&gt;parts" in html


def test_drawings_are_the_same_for_the_same_scores() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.9])
    lines = [Line("latent search", scores, SYSTEM_STYLES["search"])]
    assert roc_plot(lines, labels) == roc_plot(lines, labels)
    assert "latent search" in roc_plot(lines, labels)


def test_histogram_takes_scores_that_could_not_be_computed() -> None:
    svg = histogram_plot(np.array([0.1, 0.2, np.inf]), np.array([0, 0, 1]), 0.15)
    assert "anomalous (1)" in svg
    assert "threshold 0.15" in svg


def decode(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_pictures_keep_colours_and_the_frames_proportions() -> None:
    frame = np.zeros((30, 60, 3), np.uint8)
    frame[..., 2] = 200  # red, as OpenCV orders it
    frame[:, 40:] = (0, 255, 0)
    tiles = to_tiles(frame, TileGrid((30, 30), 3, fit="tiles", overlap=0.0))
    heat_map = np.zeros((30, 60), np.float32)
    heat_map[:, 40:] = 0.5
    case = OpenedCase(tiles, 255 - tiles.images, heat_map)
    pictures = draw_case(case, common_heat_scale([case]))
    np.testing.assert_array_equal(decode(pictures.image), frame)
    np.testing.assert_array_equal(decode(pictures.reconstruction), 255 - frame)
    residual = decode(pictures.residual)
    assert residual.shape == frame.shape
    assert residual[0, 50].sum() > 500 > residual[0, 10].sum()
    assert common_heat_scale([case]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("normal", "anomalous", "count", "expected"),
    [(50, 50, 20, (10, 10)), (4, 50, 20, (4, 16)), (50, 3, 20, (17, 3)), (3, 4, 20, (3, 4))],
)
def test_part_for_the_curve_is_balanced_as_far_as_it_can_be(
    normal: int, anomalous: int, count: int, expected: tuple[int, int]
) -> None:
    labels = np.array([0] * normal + [1] * anomalous)
    chosen = balanced_part(labels, count)
    assert len(set(chosen)) == len(chosen)
    assert ((labels[chosen] == 0).sum(), (labels[chosen] == 1).sum()) == expected
