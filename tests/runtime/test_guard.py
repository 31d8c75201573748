"""Where a lower precision is near the threshold, float32 decides; elsewhere it is left alone."""

import shutil

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.runtime.backends import Arrays, Backend, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.guard import Guard, Guarded, near
from ganspect.runtime.search import LatentSearch
from tests.runtime.conftest import CountingBackend, set_threshold

STEPS = 4


class Coarse(CountingBackend):
    """A backend whose scores are too high by a tenth: a poor precision."""

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        outputs = dict(super().run(graph, inputs))
        for name in ("best_score_out", "start_score", "encoder_score"):
            if name in outputs:
                outputs[name] = outputs[name] * np.float32(1.1)
        return outputs


@pytest.fixture
def exact_scores(tiny_bundle, tiles):
    bundle = open_bundle(tiny_bundle)
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        search = LatentSearch(bundle, backend)
        return search.full(tiles, steps=STEPS).score, search.score(tiles).encoder_score


@pytest.fixture
def guarded(tmp_path, tiny_bundle):
    """Return a function: a search by a coarse backend with this guard, at these thresholds, and what it ran."""
    opened: list[Backend] = []

    def make(threshold: float, width: float, encoder: float = 1e9) -> tuple[LatentSearch, CountingBackend]:
        folder = shutil.copytree(tiny_bundle, tmp_path / f"bundle{len(opened)}")
        set_threshold(folder, threshold)
        set_threshold(folder, encoder, mode="encoder")
        bundle = open_bundle(folder)
        opened.append(open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)))
        exact = CountingBackend(opened[-1])
        guard = Guard(search=width, encoder=width)
        return LatentSearch(bundle, Guarded(Coarse(opened[-1]), exact, guard)), exact

    yield make
    for backend in opened:
        backend.close()


def test_within_the_guard_the_verdict_is_float32s(guarded, tiles, exact_scores):
    scores, _ = exact_scores
    # In the coarse precision this tile is over the threshold, in float32 under it.
    threshold = float(scores[0] * 1.05)
    search, exact = guarded(threshold, width=0.2 * threshold)
    found = search.screen(tiles[:1], search.score(tiles[:1]), threshold=threshold, steps=STEPS)
    assert found.outcome == ("cleared",)
    assert exact.rows_of("score") == [1]
    assert search.full(tiles[:1], steps=STEPS).score[0] == scores[0]


def test_without_a_guard_it_flips(guarded, tiles, exact_scores):
    scores, _ = exact_scores
    threshold = float(scores[0] * 1.05)
    search, exact = guarded(threshold, width=0.0)
    found = search.screen(tiles[:1], search.score(tiles[:1]), threshold=threshold, steps=STEPS)
    assert found.outcome == ("complete",)
    assert exact.calls == []


def test_far_from_the_threshold_float32_is_not_asked(guarded, tiles, exact_scores):
    scores, _ = exact_scores
    for threshold, outcome in ((float(scores.max() * 3), "cleared"), (float(scores.min() / 3), "complete")):
        search, exact = guarded(threshold, width=0.1 * float(scores.min()))
        found = search.screen(tiles, search.score(tiles), threshold=threshold, steps=STEPS)
        assert set(found.outcome) == {outcome}
        assert exact.calls == []


def test_iterations_of_both_are_counted(guarded, tiles, exact_scores):
    scores, _ = exact_scores
    threshold = float(scores[0] * 0.99)
    search, _ = guarded(threshold, width=threshold)
    found = search.screen(tiles[:1], search.score(tiles[:1]), threshold=threshold, steps=STEPS)
    assert found.steps.tolist() == [2 * STEPS]


def test_the_encoders_score_has_a_guard_of_its_own(guarded, tiles, exact_scores):
    _, scores = exact_scores
    search, exact = guarded(1e9, width=0.2 * float(scores[0]), encoder=float(scores[0] * 1.05))
    start = search.score(tiles)
    assert start.encoder_score[0] == scores[0]
    far = np.abs(scores * np.float32(1.1) - np.float32(scores[0] * 1.05)) > 0.2 * float(scores[0])
    np.testing.assert_array_equal(start.encoder_score[far], scores[far] * np.float32(1.1))
    assert exact.rows_of("score") == [int((~far).sum())]


def test_what_is_no_number_is_far():
    assert near(np.array([np.nan, np.inf, 1.0, 2.0]), 1.5, 0.5).tolist() == [2, 3]


def test_both_backends_are_closed(tiny_bundle):
    closed = []

    class Closing(CountingBackend):
        def close(self) -> None:
            closed.append(self)

    bundle = open_bundle(tiny_bundle)
    with open_backend("onnxruntime", bundle) as backend:
        low, exact = Closing(backend), Closing(backend)
        Guarded(low, exact, Guard(search=0, encoder=0)).close()
    assert closed == [low, exact]
