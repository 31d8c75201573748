import time

import numpy as np
import pytest

from ganspect.bundle import PixelStatistics, open_bundle
from ganspect.errors import BundleError, CalibrationError
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.pace import Deadline
from ganspect.runtime.rows import begin_state
from ganspect.runtime.search import CHUNK_STEPS, LatentSearch, neutral_statistics
from tests.runtime.conftest import CountingBackend, change_manifest

STEPS = 12


@pytest.fixture
def opened(request):
    """Return a function that opens a bundle for searching, on a backend that counts."""
    backends = []

    def open_search(folder, **options):
        bundle = open_bundle(folder)
        backends.append(open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)))
        counting = CountingBackend(backends[-1])
        return LatentSearch(bundle, counting, **options), counting

    yield open_search
    for backend in backends:
        backend.close()


def search_graph(backend, images, latents, parts, *, steps):
    """Call the search graph once, without early exit."""
    state = begin_state(latents, np.asarray(parts, np.int64))._asdict()
    scalars = {"steps": np.asarray(steps, np.int64), "threshold": np.asarray(-np.inf, np.float32)}
    return backend.run("search", {"image": images, **state, **scalars})


def at_start(search, images):
    start = search.score(images)
    return start, start.start_score


def test_full_search_equals_one_call_of_the_graph(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    found = search.full(tiles, steps=STEPS)
    start = search.score(tiles)
    alone = search_graph(backend, tiles, start.latent, range(len(tiles)), steps=STEPS)
    np.testing.assert_array_equal(found.score, alone["best_score_out"])
    np.testing.assert_array_equal(found.latent, alone["best_latent_out"])
    np.testing.assert_array_equal(found.reconstruction, alone["reconstruction"])
    np.testing.assert_array_equal(found.residual, alone["residual"])
    assert found.steps.tolist() == [STEPS] * len(tiles)
    assert set(found.outcome) == {"complete"}


def test_the_first_iteration_scores_the_start(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    found = search.full(tiles, steps=1)
    np.testing.assert_allclose(found.score, found.start.start_score, rtol=1e-5)


def test_scores_at_checkpoints_are_those_of_shorter_searches(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    found = search.full(tiles, steps=STEPS, checkpoints=(1, 5, STEPS, 99))
    assert list(found.scores_at) == [1, 5, STEPS]
    np.testing.assert_array_equal(found.scores_at[5], search.full(tiles, steps=5).score)
    np.testing.assert_array_equal(found.scores_at[STEPS], found.score)
    assert np.all(np.diff([found.scores_at[count] for count in (1, 5, STEPS)], axis=0) <= 0)
    assert np.any(found.scores_at[STEPS] < found.scores_at[1])


def test_random_starts_are_the_stored_ones(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    found = search.full(tiles[:3], steps=2, start="random")
    stored = np.repeat(open_bundle(tiny_bundle).starts()[:1], 3, axis=0)
    np.testing.assert_array_equal(
        found.score, search_graph(backend, tiles[:3], stored, range(3), steps=2)["best_score_out"]
    )
    assert found.start is None
    assert backend.rows_of("score") == []


@pytest.mark.parametrize("quantile", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_early_exit_keeps_every_verdict(opened, tiny_bundle, tiles, quantile):
    search, _ = opened(tiny_bundle)
    # One tile at a time: the batch is then the same with and without exit, and so is every bit.
    full = np.array([search.full(tile[None], steps=STEPS).score[0] for tile in tiles])
    threshold = float(np.quantile(full, quantile, method="lower"))
    for tile, score in zip(tiles, full, strict=True):
        found = search.screen(tile[None], search.score(tile[None]), threshold=threshold, steps=STEPS)
        assert found.outcome == ("cleared" if score <= np.float32(threshold) else "complete",)
        assert found.score[0] >= score
        if found.outcome == ("complete",):
            assert found.score[0] == score
        assert found.steps[0] <= STEPS


def test_early_exit_takes_fewer_iterations(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    full = search.full(tiles, steps=STEPS, checkpoints=(1,))
    between = float((full.score + full.scores_at[1]).mean() / 2)
    found = search.screen(tiles, search.score(tiles), threshold=between, steps=STEPS)
    assert {"cleared", "complete"} == set(found.outcome)
    assert found.steps.sum() < full.steps.sum()


def test_what_the_start_clears_never_enters_the_search(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    start, scores = at_start(search, tiles)
    threshold = float(np.sort(scores)[11])
    found = search.screen(tiles, start, threshold=threshold, steps=STEPS)
    by_start = scores <= np.float32(threshold)
    assert backend.rows_of("search")[0] == len(tiles) - by_start.sum() == 4
    np.testing.assert_array_equal(found.score[by_start], scores[by_start])
    np.testing.assert_array_equal(found.residual[by_start], start.residual[by_start])
    assert set(found.steps[by_start]) == {1}


def test_with_a_burn_in_the_start_clears_nothing(opened, copy, tiny_bundle, tiles):
    search, backend = opened(change_manifest(copy(tiny_bundle), search={"burn_in": 1}))
    start, scores = at_start(search, tiles)
    over = Deadline(time.perf_counter_ns() - 10_000_000, budget_ms=5)
    unsearched = search.screen(tiles, start, threshold=float(scores.max()), steps=STEPS, deadline=over)
    assert set(unsearched.outcome) == {"budget"}
    assert np.isposinf(unsearched.score).all()
    np.testing.assert_array_equal(unsearched.residual, start.residual)
    backend.calls.clear()
    search.screen(tiles, start, threshold=float(scores.max()), steps=STEPS)
    assert backend.rows_of("search")[0] == len(tiles)


def test_the_start_scores_stay_as_they_were(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    start = search.score(tiles)
    before = start.residual.copy(), start.reconstruction.copy(), start.start_score.copy()
    search.screen(tiles, start, threshold=0.0, steps=2)
    for values, kept in zip((start.residual, start.reconstruction, start.start_score), before, strict=True):
        np.testing.assert_array_equal(values, kept)


def test_done_tiles_leave_the_batch_between_chunks(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    steps = 2 * CHUNK_STEPS
    full = search.full(tiles, steps=steps, checkpoints=(1, CHUNK_STEPS))
    gain = full.scores_at[1] - full.scores_at[CHUNK_STEPS]
    threshold = float(full.scores_at[CHUNK_STEPS][gain.argmax()] + gain.max() / 2)
    backend.calls.clear()
    search.screen(tiles, search.score(tiles), threshold=threshold, steps=steps)
    first, second = backend.rows_of("search")
    assert 0 < second < first


def test_batches_have_an_upper_bound(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    many = np.concatenate([tiles] * 9)
    found = search.full(many, steps=2)
    assert backend.rows_of("score") == backend.rows_of("search") == [64, 64, 16]
    np.testing.assert_allclose(found.score[:16], found.score[-16:], rtol=1e-3)


def test_large_tiles_go_in_smaller_batches(opened, copy, tiny_bundle):
    search, _ = opened(change_manifest(copy(tiny_bundle), image={"size_hw": [256, 256]}))
    assert [len(batch) for batch in search._batches(np.arange(9), restarts=1)] == [4, 4, 1]
    assert [len(batch) for batch in search._batches(np.arange(2), restarts=9)] == [1, 1]


def test_a_tile_has_the_lowest_score_of_its_restarts(opened, copy, tiny_anogan_bundle, tiles):
    search, backend = opened(change_manifest(copy(tiny_anogan_bundle), search={"restarts": 3}))
    found = search.full(tiles[:4], steps=STEPS)
    assert set(backend.rows_of("search")) == {12}
    stored = open_bundle(tiny_anogan_bundle).starts()[:3]
    images, parts = np.repeat(tiles[:4], 3, axis=0), np.repeat(np.arange(4), 3)
    rows = search_graph(backend, images, np.tile(stored, (4, 1)), parts, steps=STEPS)
    scores = rows["best_score_out"].reshape(4, 3)
    np.testing.assert_array_equal(found.score, scores.min(1))
    best = np.arange(4) * 3 + scores.argmin(1)
    np.testing.assert_array_equal(found.latent, rows["best_latent_out"][best])
    np.testing.assert_array_equal(found.residual, rows["residual"][best])
    assert len(set(scores.argmin(1))) > 1 or scores.argmin(1)[0] > 0


def test_a_restart_that_clears_frees_the_others(opened, copy, tiny_anogan_bundle, tiles):
    search, _ = opened(change_manifest(copy(tiny_anogan_bundle), search={"restarts": 3}))
    first = search.full(tiles[:4], steps=1).score
    found = search.screen(tiles[:4], None, threshold=float(np.sort(first)[1]), steps=STEPS)
    assert found.outcome.count("cleared") >= 2
    np.testing.assert_array_equal(found.steps[np.argsort(first)[:2]], 1)


def test_the_encoders_start_comes_before_random_ones(opened, copy, tiny_bundle, tiles):
    search, backend = opened(change_manifest(copy(tiny_bundle), search={"restarts": 3}))
    found = search.full(tiles[:4], steps=3)
    starts = np.concatenate(
        [np.stack([latent, *open_bundle(tiny_bundle).starts()[:2]]) for latent in found.start.latent]
    )
    np.testing.assert_array_equal(search.starts(4, found.start).reshape(12, -1), starts)
    rows = search_graph(backend, np.repeat(tiles[:4], 3, axis=0), starts, np.repeat(np.arange(4), 3), steps=3)
    np.testing.assert_array_equal(found.score, rows["best_score_out"].reshape(4, 3).min(1))


def test_too_few_stored_starts_are_an_error(opened, copy, tiny_bundle):
    with pytest.raises(BundleError, match="64 random starts, its search takes 65"):
        opened(change_manifest(copy(tiny_bundle), search={"restarts": 65}))


def test_nan_never_clears(opened, rescored_bundle, tiles):
    nan = np.full((32, 32), np.nan, np.float32)
    search, _ = opened(rescored_bundle, statistics=PixelStatistics(mean=nan, deviation=nan))
    start = search.score(tiles)
    assert np.isnan(start.start_score).all()
    found = search.screen(tiles, start, threshold=1e30, steps=3)
    assert set(found.outcome) == {"complete"}
    assert np.isposinf(found.score).all()
    assert np.isposinf(search.full(tiles, steps=3).score).all()


def test_scores_use_the_pixel_statistics(opened, rescored_bundle, tiles):
    neutral, _ = opened(rescored_bundle, statistics=neutral_statistics((32, 32)))
    deployed, _ = opened(rescored_bundle)
    residual = neutral.score(tiles).residual.reshape(len(tiles), -1)
    worst = np.sort(residual, axis=1)[:, -10:].mean(1)
    np.testing.assert_allclose(neutral.score(tiles).start_score, worst, rtol=1e-4)
    assert np.all(deployed.score(tiles).start_score != neutral.score(tiles).start_score)


def test_missing_pixel_statistics_are_an_error(opened, copy, rescored_bundle):
    folder = copy(rescored_bundle)
    (folder / "calibration.json").unlink()
    with pytest.raises(CalibrationError, match="ganspect calibrate"):
        opened(folder)


def test_a_time_that_is_over_stops_at_the_encoders_start(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    search.warm_up()
    backend.calls.clear()
    start = search.score(tiles)
    over = Deadline(time.perf_counter_ns() - 10_000_000, budget_ms=5)
    found = search.screen(tiles, start, threshold=0.0, steps=STEPS, deadline=over)
    assert set(found.outcome) == {"budget"}
    assert backend.rows_of("search") == []
    np.testing.assert_array_equal(found.score, start.start_score)
    assert set(found.steps) == {1}


def test_without_an_encoder_one_iteration_is_always_taken(opened, tiny_anogan_bundle, tiles):
    search, _ = opened(tiny_anogan_bundle)
    over = Deadline(time.perf_counter_ns() - 10_000_000, budget_ms=5)
    found = search.screen(tiles, search.score(tiles), threshold=0.0, steps=STEPS, deadline=over)
    assert set(found.steps) == {1}
    assert np.isfinite(found.score).all()
    assert set(found.outcome) == {"budget"}


def test_a_time_that_is_over_keeps_what_has_cleared(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    start, scores = at_start(search, tiles)
    over = Deadline(time.perf_counter_ns() - 10_000_000, budget_ms=5)
    found = search.screen(tiles, start, threshold=float(np.median(scores)), steps=STEPS, deadline=over)
    assert set(found.outcome) == {"budget", "cleared"}


def test_a_long_time_ends_nothing(opened, tiny_bundle, tiles):
    search, _ = opened(tiny_bundle)
    search.warm_up()
    long = Deadline(time.perf_counter_ns(), budget_ms=1e6)
    found = search.screen(tiles, search.score(tiles), threshold=0.0, steps=STEPS, deadline=long)
    assert set(found.outcome) == {"complete"}
    assert set(found.steps) == {STEPS}


def test_the_time_is_spent_in_chunks_that_fit(opened, tiny_bundle, tiles):
    search, backend = opened(tiny_bundle)
    search._pace.record(rows=1, steps=1, elapsed_ms=1000)
    deadline = Deadline(time.perf_counter_ns(), budget_ms=4000)
    search.screen(tiles[:1], search.score(tiles[:1]), threshold=0.0, steps=4, deadline=deadline)
    # 4 s at 1.2 s an iteration: 3 of them; then the measured pace lets the last one in.
    assert backend.rows_of("search") == [1, 1]
