from dataclasses import replace

import numpy as np
import pytest
import torch

from ganspect.scoring import (
    SCORES,
    Adam,
    Match,
    ScoreWeights,
    SearchLoss,
    State,
    cleared,
    find_score,
    in_order,
    iterate,
    residual_map,
    search_loss,
)

PLAIN = Adam()
CLIPPED = Adam(learning_rate=0.5, clip=0.6)
NEVER = np.float32(-np.inf)


def _arrays(rows: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "image": random.uniform(-1, 1, (rows, 3, 28, 36)).astype(np.float32),
        "reconstruction": random.uniform(-1, 1, (rows, 3, 28, 36)).astype(np.float32),
        "features": random.normal(size=(rows, 5, 4, 4)).astype(np.float32),
        "reconstruction_features": random.normal(size=(rows, 5, 4, 4)).astype(np.float32),
        "pixel_mean": random.uniform(0, 0.3, (28, 36)).astype(np.float32),
        "pixel_deviation": random.uniform(0.005, 0.1, (28, 36)).astype(np.float32),
        "anchor": random.normal(size=(rows, 8)).astype(np.float32),
        "logit": random.normal(scale=4, size=rows).astype(np.float32),
        "reconstruction_logit": random.normal(scale=4, size=rows).astype(np.float32),
        "reconstruction_code": random.normal(size=(rows, 8)).astype(np.float32),
        "distance": random.chisquare(4, (rows, 6, 5)).astype(np.float32),
        "squared_length": random.chisquare(4, (rows, 6, 5)).astype(np.float32),
        "latent": random.normal(size=(rows, 8)).astype(np.float32),
        "latent_mean": random.normal(size=8).astype(np.float32),
        "latent_deviation": random.uniform(0.1, 3, 8).astype(np.float32),
    }


def _both(seed: int = 0) -> tuple[Match, Match]:
    arrays = _arrays(seed=seed)
    return Match(**arrays), Match(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _smoothed(difference: np.ndarray, times: int) -> np.ndarray:
    """Return 3x3 means of (N,C,H,W), pixel by pixel, without the border that has no neighbours."""
    for _ in range(times):
        height, width = difference.shape[2:]
        rows = [
            [difference[:, :, y : y + 3, x : x + 3].mean((2, 3)) for x in range(width - 2)] for y in range(height - 2)
        ]
        difference = np.array(rows).transpose(2, 3, 0, 1)
    return difference


@pytest.mark.parametrize(("name", "times", "count"), [("residual_contrast", 1, 17), ("residual_peak", 2, 1)])
def test_smoothed_scores_are_means_of_the_largest_smoothed_residuals(name: str, times: int, count: int) -> None:
    match, _ = _both()
    smooth = np.abs(_smoothed((match.image - match.reconstruction) / 2, times)).mean(1).reshape(4, -1)
    expected = np.sort(smooth, 1)[:, -count:].mean(1)  # 2% of 26x34 pixels, 0.2% of 24x32
    if name == "residual_contrast":
        expected /= (match.reconstruction / 2).reshape(4, -1).std(1)
    np.testing.assert_allclose(SCORES[name].of(match), expected, rtol=0.02 if name == "residual_contrast" else 1e-4)


def test_a_spot_of_few_pixels_stands_out_of_an_edge_that_is_a_pixel_off_by_its_peak() -> None:
    image, reconstruction = np.zeros((2, 1, 32, 32), np.float32), np.zeros((2, 1, 32, 32), np.float32)
    image[0, 0, :, 16] = 1
    reconstruction[0, 0, :, 17] = 1
    image[1, 0, 10:13, 10:13] = 1
    match = Match(image, reconstruction)
    edge, spot = SCORES["residual_peak"].of(match)
    assert spot > 1.9 * edge
    edge, spot = SCORES["residual_mean"].of(match)
    assert edge > spot


def _start(rows: int = 3, size: int = 8, part: tuple[int, ...] | None = None) -> State:
    latent = np.random.default_rng(1).normal(size=(rows, size)).astype(np.float32)
    zeros = np.zeros_like(latent)
    return State(
        latent,
        zeros,
        zeros.copy(),
        np.zeros(rows, np.int64),
        np.full(rows, np.inf, np.float32),
        latent.copy(),
        np.arange(rows) if part is None else np.array(part),
    )


def _to_torch(state: State) -> State:
    return State(*(torch.from_numpy(np.array(field)) for field in state))


def _quadratic(latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the score and gradient of a bowl whose rows have different depths."""
    depth = np.arange(len(latent), dtype=np.float32) * 0.1
    return ((latent**2).mean(1) + depth).astype(np.float32), (2 * latent / latent.shape[1]).astype(np.float32)


def _run(state: State, steps: int, threshold: np.float32 = NEVER, adam: Adam = PLAIN) -> State:
    for _ in range(steps):
        state = iterate(state, *_quadratic(state.latent), adam, threshold)
    return state


def _assert_equal(left: State, right: State) -> None:
    for name, one, other in zip(State._fields, left, right, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("name", SCORES)
def test_numpy_and_torch_give_the_same_score(name):
    with_numpy, with_torch = _both()
    scores = SCORES[name].of(with_numpy)
    assert scores.shape == (4,)
    np.testing.assert_allclose(scores, SCORES[name].of(with_torch).numpy(), rtol=2e-6)


def test_a_sum_divides_each_term_by_its_deviation():
    match = Match(**_arrays())
    weights = ScoreWeights(deviations={"residual_mean": 0.5, "feature_distance": 2.0})
    total = find_score("residual_mean + feature_distance")
    expected = SCORES["residual_mean"].of(match) / 0.5 + SCORES["feature_distance"].of(match) / 2
    np.testing.assert_allclose(total.of(match, weights), expected, rtol=1e-6)
    assert total.needs == {"features"}
    assert find_score("residual_mean") is SCORES["residual_mean"]


def test_tables_have_sums_after_the_scores_and_nothing_unknown():
    names = {"feature_distance + residual_mean", "residual_mean", "a + b", "x", "feature_distance", "anogan"}
    assert in_order(names) == ("anogan", "residual_mean", "feature_distance", "feature_distance + residual_mean")


@pytest.mark.parametrize("name", SCORES)
def test_a_row_scores_alone_as_in_a_batch(name):
    arrays = _arrays()
    of_no_row = ("pixel_", "latent_")
    alone = Match(**{key: value if key.startswith(of_no_row) else value[2:3] for key, value in arrays.items()})
    np.testing.assert_allclose(SCORES[name].of(alone)[0], SCORES[name].of(Match(**arrays))[2], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SCORES if name != "residual_calibrated"])
def test_a_perfect_reconstruction_that_looks_real_of_the_mean_latent_scores_nothing(name):
    arrays = _arrays()
    perfect = {
        **arrays,
        "reconstruction": arrays["image"],
        "reconstruction_features": arrays["features"],
        "reconstruction_code": arrays["anchor"],
        "logit": np.full(4, 200, np.float32),
        "reconstruction_logit": np.full(4, 200, np.float32),
        "distance": np.zeros((4, 6, 5), np.float32),
        "latent": np.tile(arrays["latent_mean"], (4, 1)),
    }
    assert (SCORES[name].of(Match(**perfect)) == 0).all()


@pytest.mark.parametrize("name", SCORES)
def test_a_score_takes_no_more_than_it_says(name):
    arrays = _arrays()
    fields = {
        "pixels": ("pixel_mean", "pixel_deviation"),
        "features": ("features", "reconstruction_features"),
        "logit": ("logit",),
        "reconstruction_logit": ("reconstruction_logit",),
        "code": ("anchor", "reconstruction_code"),
        "pair": (),
        "image": (),
        "distance": ("distance",),
        "latent": ("latent", "latent_mean", "latent_deviation"),
    }
    given = ["image", "reconstruction", *(field for need in SCORES[name].needs for field in fields[need])]
    scores = SCORES[name].of(Match(**{field: arrays[field] for field in given}))
    np.testing.assert_array_equal(scores, SCORES[name].of(Match(**arrays)))


def test_the_scores_of_egbad_are_the_papers_formulas():
    match = Match(**_arrays())
    pixels = np.abs(match.image - match.reconstruction).astype(np.float64).sum((1, 2, 3))
    features = np.abs(match.features - match.reconstruction_features).astype(np.float64).sum((1, 2, 3))
    weights = ScoreWeights(alpha=0.7)
    np.testing.assert_allclose(
        SCORES["egbad_feature_matching"].of(match, weights), 0.7 * pixels + 0.3 * features, rtol=1e-5
    )
    for name, logit in (
        ("egbad_cross_entropy", match.logit),
        ("egbad_cross_entropy_code", match.reconstruction_logit),
    ):
        expected = 0.7 * pixels - 0.3 * np.log(1 / (1 + np.exp(-logit.astype(np.float64))))
        np.testing.assert_allclose(SCORES[name].of(match, weights), expected, rtol=1e-5)


def test_the_scores_of_ganomaly_are_distances_of_latents():
    match = Match(**_arrays())
    difference = (match.anchor - match.reconstruction_code).astype(np.float64)
    np.testing.assert_allclose(SCORES["ganomaly"].of(match), np.abs(difference).sum(1), rtol=1e-5)
    np.testing.assert_allclose(SCORES["ganomaly_code"].of(match), (difference**2).mean(1), rtol=1e-5)


def test_the_latents_score_is_its_squared_distance_from_the_prior_in_deviations() -> None:
    match = Match(**_arrays())
    covariance = np.diag(match.latent_deviation.astype(np.float64) ** 2)
    away = (match.latent - match.latent_mean).astype(np.float64)
    expected = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariance), away) / 8
    np.testing.assert_allclose(SCORES["latent_mahalanobis"].of(match), expected, rtol=1e-5)


def test_weights_move_the_papers_scores():
    match = Match(**_arrays())
    pixels = np.abs(match.image - match.reconstruction).mean((1, 2, 3))
    np.testing.assert_allclose(SCORES["anogan"].of(match, ScoreWeights(feature_weight=0)), pixels, rtol=1e-5)
    np.testing.assert_allclose(SCORES["anogan_fooling"].of(match, ScoreWeights(feature_weight=0)), pixels, rtol=1e-5)
    squares = ((match.image - match.reconstruction) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(SCORES["fanogan"].of(match, ScoreWeights(kappa=0)), squares, rtol=1e-5)


def test_cross_entropy_of_far_logits_is_finite():
    match = Match(**{**_arrays(), "reconstruction_logit": np.array([-1e4, 1e4, 0, -50], np.float32)})
    entropy = SCORES["anogan_fooling"].of(match, ScoreWeights(feature_weight=1))
    np.testing.assert_allclose(entropy, [1e4, 0, np.log(2), 50], rtol=1e-6)


def test_fooling_descends_the_cross_entropy():
    match = Match(**_arrays())
    loss = search_loss(SearchLoss(1.0, discrimination="fooling"), match)
    np.testing.assert_allclose(
        loss, np.log1p(np.exp(-match.reconstruction_logit.astype(np.float64))), rtol=1e-5, atol=1e-7
    )
    assert SearchLoss(0.1, discrimination="fooling").needs == {"reconstruction_logit"}
    assert SearchLoss(0.1).needs == {"features"}
    assert SearchLoss(0.0).needs == frozenset()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_numpy_and_torch_give_the_same_search_loss(weight, reduction):
    with_numpy, with_torch = _both()
    loss = SearchLoss(weight, reduction)
    np.testing.assert_allclose(search_loss(loss, with_numpy), search_loss(loss, with_torch).numpy(), rtol=2e-6)


def test_the_search_loss_is_the_papers_formula():
    match = Match(**_arrays())
    pixels = np.abs(match.image - match.reconstruction).astype(np.float64).sum((1, 2, 3))
    features = np.abs(match.features - match.reconstruction_features).astype(np.float64).sum((1, 2, 3))
    np.testing.assert_allclose(search_loss(SearchLoss(0.1, "sum"), match), 0.9 * pixels + 0.1 * features, rtol=1e-5)
    np.testing.assert_allclose(SCORES["anogan_sum"].of(match), 0.9 * pixels + 0.1 * features, rtol=1e-5)


RESIDUALS = ("absolute", "huber", "trimmed", "weighed")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("residual", RESIDUALS)
def test_numpy_and_torch_count_residuals_alike(residual, reduction) -> None:
    with_numpy, with_torch = _both()
    loss = SearchLoss(0.2, reduction, residual=residual, huber_delta=0.5)
    found = search_loss(loss, with_numpy)
    assert (found.shape, found.dtype) == ((4,), np.float32)
    np.testing.assert_allclose(found, search_loss(loss, with_torch).numpy(), rtol=2e-6)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_a_rows_loss_is_its_own(residual) -> None:
    arrays = _arrays()
    loss = SearchLoss(0, residual=residual)
    of_no_row = ("pixel_", "latent_")
    alone = Match(**{key: value if key.startswith(of_no_row) else value[2:3] for key, value in arrays.items()})
    np.testing.assert_allclose(search_loss(loss, alone)[0], search_loss(loss, Match(**arrays))[2], rtol=1e-6)


def test_hubers_loss_is_square_within_its_deviations_and_linear_beyond() -> None:
    match = Match(**_arrays())
    length = np.abs(match.image - match.reconstruction).astype(np.float64)
    delta = 0.7 * match.image.reshape(4, -1).std(1, dtype=np.float64)[:, None, None, None]
    assert 0.1 < (length < delta).mean() < 0.9
    expected = np.where(length < delta, length**2 / (2 * delta), length - delta / 2)
    for reduction in ("mean", "sum"):
        found = search_loss(SearchLoss(0, reduction, residual="huber", huber_delta=0.7), match)
        np.testing.assert_allclose(found, getattr(expected, reduction)((1, 2, 3)), rtol=1e-4)


def test_hubers_delta_goes_with_the_images_contrast() -> None:
    match = Match(**_arrays())
    pale = Match(match.image * 0.25, match.reconstruction * 0.25)
    loss = SearchLoss(0, residual="huber", huber_delta=0.7)
    np.testing.assert_allclose(search_loss(loss, pale), search_loss(loss, match) * 0.25, rtol=1e-3)
    constant = Match(np.zeros_like(match.image), match.reconstruction)
    assert np.isfinite(search_loss(loss, constant)).all()


@pytest.mark.parametrize(("share", "count"), [(0.05, 50), (0.5, 504), (1e-6, 1)])
def test_trimming_leaves_out_the_places_with_the_largest_residual(share: float, count: int) -> None:
    match = Match(**_arrays())
    length = np.abs(match.image - match.reconstruction).astype(np.float64)
    expected, sums = [], []
    for row in length.reshape(4, 3, -1):
        stays = np.argsort(row.mean(0))[: 28 * 36 - count]
        expected.append(row[:, stays].mean())
        sums.append(row[:, stays].sum())
    loss = SearchLoss(0, residual="trimmed", trimmed_share=share)
    np.testing.assert_allclose(search_loss(loss, match), expected, rtol=1e-5)
    np.testing.assert_allclose(search_loss(replace(loss, reduction="sum"), match), sums, rtol=1e-5)


def test_a_place_that_is_left_out_has_no_gradient_and_the_mask_has_none_either() -> None:
    _, match = _both()
    shown = match.reconstruction.clone().requires_grad_()
    loss = search_loss(SearchLoss(0, residual="trimmed", trimmed_share=0.1), replace(match, reconstruction=shown))
    (slope,) = torch.autograd.grad(loss.sum(), shown)
    count = 28 * 36 - 100
    assert ((slope != 0).all(1).sum((1, 2)) == count).all()
    torch.testing.assert_close(slope.abs().amax((1, 2, 3)), torch.full((4,), 1 / (3 * count)))


def test_places_that_are_equally_far_all_stay() -> None:
    flat = Match(np.zeros((2, 1, 6, 6), np.float32), np.full((2, 1, 6, 6), 0.5, np.float32))
    found = search_loss(SearchLoss(0, residual="trimmed", trimmed_share=0.25), flat)
    np.testing.assert_allclose(found, [0.5, 0.5])


def test_the_weighed_loss_is_the_root_of_what_is_scored_but_for_small_ones() -> None:
    match = Match(**_arrays())
    length = np.sqrt(match.squared_length.astype(np.float64))
    for delta in (0.1, 2.0):
        expected = np.where(length < delta, length**2 / (2 * delta), length - delta / 2)
        loss = SearchLoss(0, residual="weighed", huber_delta=delta)
        np.testing.assert_allclose(search_loss(loss, match), expected.mean((1, 2)), rtol=1e-5)
        summed = search_loss(replace(loss, reduction="sum"), match)
        np.testing.assert_allclose(summed, expected.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_a_residual_of_nothing_has_a_gradient(residual) -> None:
    """The root of 0 has none, and 0 / 0 would move every latent to nowhere."""
    _, match = _both()
    shown = match.image.clone().requires_grad_()
    squares = (match.image - shown).square().mean(1)
    loss = search_loss(SearchLoss(0, residual=residual), Match(match.image, shown, squared_length=squares))
    (slope,) = torch.autograd.grad(loss.sum(), shown)
    assert torch.equal(slope, torch.zeros_like(slope))


@pytest.mark.parametrize("residual", ["trimmed", "weighed"])
def test_a_defect_does_not_drag_the_loss_along(residual) -> None:
    """What the brightness that fits best is, on an image of 0.2 of which a tenth is a defect of 1."""
    image = torch.full((1, 1, 10, 10), 0.2)
    image[..., 0, :] = 1
    level = torch.linspace(0, 1, 101)[:, None, None, None].expand(-1, 1, 10, 10)
    everywhere = Match(image.expand(101, -1, -1, -1), level, squared_length=((image - level) / 0.1).square().mean(1))
    found = search_loss(SearchLoss(0, residual=residual, trimmed_share=0.15), everywhere)
    assert level[found.argmin(), 0, 0, 0].item() == pytest.approx(0.2, abs=0.005)
    squares = (everywhere.image - level).square().mean((1, 2, 3))
    assert level[squares.argmin(), 0, 0, 0].item() == pytest.approx(0.28, abs=0.005)


def test_a_loss_says_what_it_needs() -> None:
    assert SearchLoss(0, residual="weighed").needs == {"distance"}
    assert SearchLoss(0.1, residual="weighed").needs == {"distance", "features"}
    assert SearchLoss(0, residual="trimmed").needs == frozenset()


def test_the_fanogan_score_is_the_papers_formula():
    match = Match(**_arrays())
    pixels = ((match.image - match.reconstruction) ** 2).mean((1, 2, 3))
    features = ((match.features - match.reconstruction_features) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(SCORES["fanogan"].of(match), pixels + features, rtol=1e-6)


def test_the_residual_lies_between_0_and_1():
    black, white = np.full((1, 1, 4, 4), -1, np.float32), np.ones((1, 1, 4, 4), np.float32)
    assert (residual_map(black, white) == 1).all()
    assert (residual_map(black, black) == 0).all()


def test_the_worst_score_averages_the_largest_hundredth():
    arrays = _arrays()
    residual = np.sort(residual_map(arrays["image"], arrays["reconstruction"]).reshape(4, -1), 1)
    np.testing.assert_allclose(SCORES["residual_worst"].of(Match(**arrays)), residual[:, -10:].mean(1), rtol=1e-6)


def test_the_calibrated_score_counts_deviations_from_the_pixels_mean():
    arrays = _arrays()
    residual = residual_map(arrays["image"], arrays["reconstruction"])
    pixels = np.sort((np.abs(residual - arrays["pixel_mean"]) / arrays["pixel_deviation"]).reshape(4, -1), 1)
    np.testing.assert_allclose(SCORES["residual_calibrated"].of(Match(**arrays)), pixels[:, -10:].mean(1), rtol=1e-5)


def test_only_the_calibrated_score_needs_pixel_statistics():
    assert [name for name, score in SCORES.items() if score.needs_pixel_statistics] == ["residual_calibrated"]


@pytest.mark.parametrize("adam", [PLAIN, CLIPPED])
@pytest.mark.parametrize("threshold", [-np.inf, 0.6, 0.9])
def test_numpy_and_torch_take_the_same_iterations(adam, threshold):
    with_numpy = _start(part=(0, 0, 1))
    with_torch = _to_torch(with_numpy)
    for _ in range(8):
        score, gradient = _quadratic(with_numpy.latent)
        with_numpy = iterate(with_numpy, score, gradient, adam, np.float32(threshold))
        limit = torch.tensor(threshold, dtype=torch.float32)
        with_torch = iterate(with_torch, torch.from_numpy(score), torch.from_numpy(gradient), adam, limit)
    for name, one, other in zip(State._fields, with_numpy, with_torch, strict=True):
        assert one.dtype == other.numpy().dtype, name
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("settings", [Adam(), Adam(learning_rate=0.3, beta1=0.5, beta2=0.99, epsilon=1e-4)])
def test_the_update_is_that_of_torch_adam(settings):
    state = _to_torch(_start())
    latent = state.latent.clone().requires_grad_()
    betas = (settings.beta1, settings.beta2)
    optimizer = torch.optim.Adam([latent], settings.learning_rate, betas, settings.epsilon)
    random = torch.Generator().manual_seed(0)
    for _ in range(25):
        latent.grad = torch.randn(latent.shape, generator=random)
        state = iterate(state, torch.ones(3), latent.grad, settings, torch.tensor(-torch.inf))
        optimizer.step()
    torch.testing.assert_close(state.latent, latent.detach(), rtol=2e-5, atol=2e-6)


def test_k_iterations_score_k_points_the_first_being_the_start():
    start = _start()
    after = _run(start, 1)
    np.testing.assert_array_equal(after.best_score, _quadratic(start.latent)[0])
    np.testing.assert_array_equal(after.best_latent, start.latent)
    assert (after.latent != start.latent).any(1).all()
    assert _run(start, 7).step.tolist() == [7, 7, 7]


def test_the_best_score_keeps_its_latent_when_later_points_are_worse():
    state = _start(rows=1)
    for score in (3.0, 1.0, 2.0):
        before = state.latent
        state = iterate(state, np.float32([score]), np.ones((1, 8), np.float32), PLAIN, NEVER)
        best = before if score == 1.0 else state.best_latent
        np.testing.assert_array_equal(state.best_latent, best)
    assert state.best_score.tolist() == [1.0]


def test_clipped_latents_stay_within_their_bounds():
    assert np.abs(_run(_start(), 5, adam=CLIPPED).latent).max() <= np.float32(0.6)


def test_chunks_compose_to_the_same_bits():
    threshold = np.float32(0.6)
    whole = _run(_start(part=(0, 0, 1)), 50, threshold)
    pieces = _start(part=(0, 0, 1))
    for _ in range(5):
        pieces = _run(pieces, 10, threshold)
    _assert_equal(whole, pieces)


def test_done_rows_are_frozen_whatever_their_score_and_gradient():
    done = _start()._replace(best_score=np.float32([0.1, 0.1, np.inf]))
    after = iterate(done, np.float32([0.01, np.nan, 1]), np.full((3, 8), np.nan, np.float32), PLAIN, np.float32(0.2))
    for name in State._fields:
        np.testing.assert_array_equal(getattr(after, name)[:2], getattr(done, name)[:2], err_msg=name)


def test_a_row_that_clears_takes_its_score_but_does_not_move():
    start = _start()
    after = iterate(start, np.float32([0.1, 1, 1]), np.ones((3, 8), np.float32), PLAIN, np.float32(0.5))
    assert after.best_score[0] == np.float32(0.1)
    assert after.step[0] == 1
    np.testing.assert_array_equal(after.latent[0], start.latent[0])
    np.testing.assert_array_equal(after.adam_m[0], start.adam_m[0])
    assert (after.latent[1:] != start.latent[1:]).all()


def test_a_row_at_the_threshold_clears():
    assert cleared(np.float32([0.5]), np.array([0]), np.float32(0.5)).tolist() == [True]


def test_one_row_that_clears_frees_its_part_and_no_other():
    scores, part = np.float32([9, 0.1, 9, np.inf]), np.array([4, 4, 7, 7])
    assert cleared(scores, part, np.float32(0.5)).tolist() == [True, True, False, False]


def test_a_result_does_not_depend_on_what_shares_its_batch():
    threshold = np.float32(0.6)
    together = _run(_start(), 20, threshold)
    alone = _run(State(*(field[:1] for field in _start())), 20, threshold)
    _assert_equal(State(*(field[:1] for field in together)), alone)


@pytest.mark.parametrize("threshold", [-np.inf, 0.0, np.nan])
def test_nothing_clears_where_the_threshold_allows_nothing(threshold):
    assert not cleared(np.float32([0.1, np.inf]), np.array([0, 1]), np.float32(threshold)).any()


def test_nan_never_clears_and_never_becomes_the_best():
    state = iterate(_start(), np.full(3, np.nan, np.float32), np.ones((3, 8), np.float32), PLAIN, np.float32(1e9))
    assert np.isinf(state.best_score).all()
    assert not cleared(np.full(3, np.nan, np.float32), state.part, np.float32(np.inf)).any()


@pytest.mark.parametrize(("step", "counts"), [(4, False), (5, True)])
def test_scores_within_the_burn_in_do_not_count(step: int, counts: bool) -> None:
    latent = np.zeros((1, 2), np.float32)
    inf = np.array([np.inf], np.float32)
    state = State(latent, latent, latent, np.array([step]), inf, latent, np.array([0]))
    after = iterate(state, np.array([0.5], np.float32), latent, Adam(), np.float32(1.0), 5)
    assert after.best_score[0] == (0.5 if counts else np.inf)
    assert after.step[0] == step + 1
