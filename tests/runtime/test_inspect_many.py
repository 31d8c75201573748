"""Frames judged together get the verdicts that they get alone."""

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.errors import ImageError
from ganspect.runtime import Inspector
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.finding import groups
from tests.runtime.conftest import CountingBackend, change_manifest, set_threshold


@pytest.fixture
def frames(normal_frames, scratched_frames):
    """Five frames of three sizes: normal, scratched, larger, smaller, normal."""
    return [
        normal_frames[0],
        scratched_frames[1],
        np.tile(scratched_frames[2], (2, 3)),
        normal_frames[3][:36, :40],
        normal_frames[4],
    ]


@pytest.fixture
def bundle_of(request, copy):
    """Return a function: a bundle by what is special about it, its threshold amid the scores of frames."""

    def make(kind, frames):
        fixtures = {"random": "tiny_anogan_bundle", "statistics": "rescored_bundle"}
        folder = copy(request.getfixturevalue(fixtures.get(kind, "tiny_bundle")))
        if kind == "tiles":
            change_manifest(folder, image={"fit": "tiles"})
        if kind in ("restarts", "burn_in"):
            change_manifest(folder, search={"restarts": 3} if kind == "restarts" else {"burn_in": 2})
        for mode in ("search",) if kind == "random" else ("search", "encoder"):
            set_threshold(folder, 0.0, mode=mode)
            with load(folder, mode=mode) as inspector:
                scores = [inspector.inspect(frame).score for frame in frames]
            set_threshold(folder, float(np.sort(scores)[1:4:2].mean()), mode=mode)
        return folder

    return make


def load(folder, **options):
    return Inspector.load(folder, tuning=Tuning(threads=1), **options)


def counting(folder, **options):
    bundle = open_bundle(folder)
    backend = CountingBackend(open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)))
    inspector = Inspector(bundle, backend, mode="search", **options)
    backend.calls.clear()
    return inspector, backend


def assert_equal(together, alone):
    for found, expected in zip(together, alone, strict=True):
        for key in ("verdict", "outcome", "steps", "threshold"):
            assert getattr(found, key) == getattr(expected, key)
        assert found.score == pytest.approx(expected.score, rel=1e-4)
        if expected.start_score is not None:
            assert found.start_score == pytest.approx(expected.start_score, rel=1e-4)
        np.testing.assert_allclose(found.heat_map, expected.heat_map, atol=1e-3)
        assert [region.xyxy for region in found.regions] == [region.xyxy for region in expected.regions]


@pytest.mark.parametrize("kind", ["plain", "tiles", "restarts", "burn_in", "random", "statistics", "encoder"])
def test_a_frame_gets_the_verdict_that_it_gets_alone(bundle_of, frames, kind):
    folder = bundle_of(kind, frames)
    with load(folder, mode="encoder" if kind == "encoder" else "search") as inspector:
        together = inspector.inspect_many(frames)
        alone = [inspector.inspect(frame) for frame in frames]
    assert {verdict.verdict for verdict in alone} == {"normal", "anomalous"}
    assert_equal(together, alone)
    assert {verdict.together for verdict in together} == {5}
    assert {verdict.together for verdict in alone} == {1}
    assert [verdict.heat_map.shape for verdict in together] == [frame.shape for frame in frames]


def test_the_tiles_of_all_frames_are_one_batch_and_only_what_goes_on_is_searched(bundle_of, frames):
    folder = bundle_of("tiles", frames)
    inspector, backend = counting(folder)
    counts = [len(inspector.prepare(frame).tiles.images) for frame in frames]
    inspector.inspect_many(frames)
    assert len(set(counts)) > 1
    assert backend.rows_of("score") == [sum(counts)]
    assert backend.rows_of("search") == [max(backend.rows_of("search"))]
    assert 0 < backend.rows_of("search")[0] < sum(counts)


def test_what_the_start_clears_does_not_wait_for_the_others(bundle_of, frames):
    inspector, backend = counting(bundle_of("plain", frames), steps=25)
    searches = {}
    for index, verdict in inspector.judge([inspector.prepare(frame) for frame in frames]):
        searches[index] = len(backend.rows_of("search"))
        assert (verdict.steps == 1) == (searches[index] == 0)
    assert sorted(searches) == [0, 1, 2, 3, 4]
    assert {0, 3} <= set(searches.values())


def test_a_frame_that_is_none_spoils_no_state(bundle_of, frames):
    with load(bundle_of("plain", frames)) as inspector:
        with pytest.raises(ImageError, match="4 channels"):
            inspector.inspect_many([frames[0], np.zeros((40, 48, 4), np.uint8)])
        assert len(inspector.inspect_many(frames[:2])) == 2
        assert inspector.inspect_many([]) == []


def test_latencies_are_each_frames_own(bundle_of, frames):
    with load(bundle_of("plain", frames)) as inspector:
        verdicts = inspector.inspect_many(frames)
    for verdict in verdicts:
        parts = [verdict.latency_ms[name] for name in ("preprocess", "score", "search")]
        assert 0 < sum(parts) <= verdict.latency_ms["total"]
    cleared = [verdict for verdict in verdicts if verdict.steps == 1]
    searched = [verdict for verdict in verdicts if verdict.steps > 1]
    assert max(one.latency_ms["search"] for one in cleared) < min(one.latency_ms["search"] for one in searched)


def test_under_a_budget_frames_share_a_search_that_fits(copy, tiny_bundle, frames):
    inspector, backend = counting(set_threshold(copy(tiny_bundle), 0.0), budget_ms=60_000)
    assert {verdict.outcome for verdict in inspector.inspect_many(frames)} == {"complete"}
    assert backend.rows_of("search") == [5]


def test_under_a_budget_that_a_shared_search_would_exceed_each_frame_has_its_own_time(copy, tiny_bundle, frames):
    inspector, backend = counting(set_threshold(copy(tiny_bundle), 0.0), budget_ms=60_000)
    # As slow as this, two rows would take 100 s and one row 50 s.
    inspector._search._pace.record(rows=1, steps=1, elapsed_ms=60_000 / 1.2 / 5 * 0.8)
    inspector._search._pace.record(rows=2, steps=1, elapsed_ms=60_000 / 1.2 / 5 * 1.6)
    assert {verdict.outcome for verdict in inspector.inspect_many(frames[:3])} == {"complete"}
    assert backend.rows_of("search")[0] == 1
    assert sum(backend.rows_of("search")) == 3


def test_time_that_is_over_leaves_undecided_only_what_the_start_does_not_clear(bundle_of, frames):
    with load(bundle_of("plain", frames), budget_ms=0) as inspector:
        together = inspector.inspect_many(frames)
        alone = [inspector.inspect(frame) for frame in frames]
    assert {verdict.verdict for verdict in together} == {"normal", "undecided"}
    assert_equal(together, alone)


def test_more_tiles_than_a_call_takes_are_several_calls(copy, tiny_bundle, normal_frames):
    inspector, backend = counting(set_threshold(copy(tiny_bundle), 0.0))
    assert len(inspector.inspect_many([normal_frames[index % 8] for index in range(70)])) == 70
    assert backend.rows_of("score") == [64, 6]
    assert backend.rows_of("search") == [64, 6]


def test_groups_are_as_large_as_fits_and_never_empty():
    assert list(groups([3, 1, 2], lambda chosen: len(chosen) < 3)) == [[3, 1], [2]]
    assert list(groups([3, 1, 2], lambda chosen: False)) == [[3], [1], [2]]
    assert list(groups([], lambda chosen: True)) == []


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_gives_the_same_score_in_any_batch(copy, tiny_bundle, frames, backend):
    pytest.importorskip(backend)
    with load(set_threshold(copy(tiny_bundle), 0.0), backend=backend) as inspector:
        alone = [inspector.inspect(frame).score for frame in frames]
        for count in (2, 3, 5):
            together = [verdict.score for verdict in inspector.inspect_many(frames[:count])]
            assert together == pytest.approx(alone[:count], rel=1e-5)
