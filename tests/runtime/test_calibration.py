import json
import math
import shutil

import numpy as np
import pytest

from ganspect.bundle import CALIBRATION, open_bundle
from ganspect.datasets import fingerprint, split_calibration
from ganspect.errors import BundleError, CalibrationError, DataError, ImageError, OutputError
from ganspect.opencv import cv2
from ganspect.records import ScoreRange
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.calibration import calibrate, calibrate_folder, images_needed, pixel_statistics, score_range
from ganspect.runtime.search import LatentSearch, neutral_statistics
from ganspect.scoring import DEVIATION_FLOOR
from tests.conftest import texture
from tests.runtime.conftest import change_manifest


@pytest.fixture(scope="module")
def frames():
    """Twenty normal frames with names."""
    random = np.random.default_rng(21)
    return [(f"{index:02d}.png", texture(random)) for index in range(20)]


@pytest.fixture
def folder(tmp_path, frames):
    """The same frames as files."""
    place = tmp_path / "normal"
    place.mkdir()
    for name, frame in frames:
        cv2.imwrite(str(place / name), frame)
    return place


def entries(bundle):
    return json.loads((bundle / CALIBRATION).read_text())["entries"]


def test_the_record_says_how_the_threshold_came_about(copy, tiny_bundle, frames):
    bundle = copy(tiny_bundle)
    record = calibrate(bundle, frames, 0.1, "stripes")
    assert (record.images, record.rate_asked, record.steps) == ("stripes", 0.1, 5)
    assert (record.n_statistics, record.search.n, record.search.k) == (5, 15, 15)
    assert record.search.false_alarm_rate == 0.1
    assert record.search.upper_limit_95 == pytest.approx(1 - 0.05 ** (1 / 15))
    assert record.created.endswith("+00:00")
    assert record.fingerprints == [fingerprint(frame) for _, frame in frames]
    assert record.encoder.n == 15
    assert open_bundle(bundle).calibration == record


def test_older_entries_stay(copy, tiny_bundle, frames):
    bundle = copy(tiny_bundle)
    before = entries(bundle)
    manifest = (bundle / "manifest.json").read_bytes()
    calibrate(bundle, frames, None, "stripes")
    assert entries(bundle)[:-1] == before
    assert (bundle / "manifest.json").read_bytes() == manifest
    assert all((bundle / entry["statistics_file"]).is_file() for entry in entries(bundle))


def test_thresholds_are_ranks_of_full_searches(copy, tiny_bundle, frames, monkeypatch):
    seen = {"search": [], "encoder": []}

    def remember(scores, rate):
        seen["encoder" if seen["search"] else "search"].extend(scores)
        return original(scores, rate)

    original = calibrate.__globals__["conformal_threshold"]
    monkeypatch.setitem(calibrate.__globals__, "conformal_threshold", remember)
    bundle = copy(tiny_bundle)
    record = calibrate(bundle, frames, None, "stripes")
    opened = open_bundle(bundle)
    with open_backend("onnxruntime", opened, tuning=Tuning(threads=1)) as backend:
        search = LatentSearch(opened, backend)
        tiles = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)[..., None] for _, frame in frames])
        full = search.full(tiles, steps=5)
    assert len(seen["search"]) == len(seen["encoder"]) == 15
    for scores, expected in ((seen["search"], full.score), (seen["encoder"], full.start.encoder_score)):
        nearest = np.abs(np.array(scores)[:, None] - expected[None]).min(1)
        assert nearest.max() < 1e-3 * expected.max()
    assert record.search.value == max(seen["search"])
    assert record.encoder.value == max(seen["encoder"])


def test_statistics_are_those_of_the_best_reconstructions(copy, tiny_bundle, frames, monkeypatch):
    taken = []
    original = calibrate.__globals__["split_calibration"]

    def remember(items):
        parts = original(items)
        if not taken:
            taken.append([frame for _, frame in parts[0]])
        return parts

    monkeypatch.setitem(calibrate.__globals__, "split_calibration", remember)
    bundle = copy(tiny_bundle)
    calibrate(bundle, frames, None, "stripes")
    opened = open_bundle(bundle)
    statistics = opened.pixel_statistics()
    with open_backend("onnxruntime", opened, tuning=Tuning(threads=1)) as backend:
        search = LatentSearch(opened, backend, statistics=neutral_statistics((32, 32)))
        tiles = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)[..., None] for frame in taken[0]])
        residual = search.full(tiles, steps=5).residual
    assert len(residual) == 5
    np.testing.assert_allclose(statistics.mean, residual.mean(0), atol=1e-3)
    np.testing.assert_allclose(statistics.deviation, np.maximum(residual.std(0), DEVIATION_FLOOR), atol=1e-3)


@pytest.mark.parametrize("bundle_name", ["tiny_bundle", "rescored_bundle"])
def test_ranges_are_of_the_statistics_frames_scored_as_deployed(copy, bundle_name, frames, request):
    folder = copy(request.getfixturevalue(bundle_name))
    record = calibrate(folder, frames, None, "stripes")
    opened = open_bundle(folder)
    apart = [frame for _, frame in split_calibration(frames)[0]]
    tiles = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)[..., None] for frame in apart])
    with open_backend("onnxruntime", opened, tuning=Tuning(threads=1)) as backend:
        found = LatentSearch(opened, backend).full(tiles, steps=5)
    for scores, measured in ((found.score, record.search_range), (found.start.encoder_score, record.encoder_range)):
        assert (measured.low, measured.high) == pytest.approx((scores.min(), scores.max()), rel=1e-3)
        assert measured.low < measured.high
    assert len(apart) == record.n_statistics == 5


def test_a_range_is_of_finite_scores():
    assert score_range([0.5, math.inf, 0.25, math.nan]) == ScoreRange(low=0.25, high=0.5)
    assert score_range([math.inf]) is None
    assert score_range([]) is None


def test_the_deviation_has_a_floor():
    residual = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    residual[:, 0, 0] = 0.25
    statistics = pixel_statistics([residual[:1], residual[1:]])
    assert statistics.deviation[0, 0] == np.float32(DEVIATION_FLOOR)
    assert statistics.mean[0, 0] == pytest.approx(0.25)
    np.testing.assert_allclose(statistics.deviation[1:], residual.std(0)[1:], rtol=1e-4)


def test_scores_that_need_statistics_use_those_just_measured(copy, rescored_bundle, frames):
    bundle = copy(rescored_bundle)
    record = calibrate(bundle, frames, None, "stripes")
    opened = open_bundle(bundle)
    with open_backend("onnxruntime", opened, tuning=Tuning(threads=1)) as backend:
        tiles = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)[..., None] for _, frame in frames])
        scores = LatentSearch(opened, backend).full(tiles, steps=5).score
    assert np.abs(scores - record.search.value).min() < 1e-2 * record.search.value


def test_a_bundle_without_an_encoder_has_no_encoder_threshold(copy, tiny_anogan_bundle, frames):
    record = calibrate(copy(tiny_anogan_bundle), frames, None, "stripes")
    assert (record.encoder, record.encoder_range) == (None, None)
    assert record.search_range is not None


def test_a_frame_is_the_unit_whatever_its_tiles(copy, tiny_bundle, frames):
    bundle = change_manifest(copy(tiny_bundle), image={"fit": "tiles"})
    record = calibrate(bundle, frames[:8], None, "stripes")
    assert (record.search.n, record.n_statistics) == (6, 2)


def test_frames_with_the_same_pixels_count_once(copy, tiny_bundle, frames):
    record = calibrate(copy(tiny_bundle), [*frames, *frames, ("again", frames[0][1])], None, "stripes")
    assert record.search.n + record.n_statistics == 20


def test_no_rate_and_few_images_warn(copy, tiny_bundle, frames, capsys):
    record = calibrate(copy(tiny_bundle), frames, None, "stripes")
    assert record.search.false_alarm_rate == pytest.approx(1 / 16)
    printed = capsys.readouterr().err
    assert "warning: 15 threshold images support a false-alarm rate of 6.2% at best" in printed
    assert "for 1% give 132 different normal images" in printed


def test_a_rate_that_was_asked_for_does_not_warn(copy, tiny_bundle, frames, capsys):
    calibrate(copy(tiny_bundle), frames, 0.2, "stripes")
    assert "warning" not in capsys.readouterr().err


def test_the_images_needed_include_those_for_the_statistics():
    assert images_needed(0.01) == 132
    assert images_needed(0.5) == 2


def test_too_few_images_say_how_many(copy, tiny_bundle, frames):
    bundle = copy(tiny_bundle)
    with pytest.raises(CalibrationError, match=r"0\.01 needs 132 different normal images .* 20 were given; .* 0\.062"):
        calibrate(bundle, frames, 0.01, "stripes")
    assert len(entries(bundle)) == 1


def test_an_impossible_rate_is_refused(copy, tiny_bundle, frames):
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        calibrate(copy(tiny_bundle), frames, 1.0, "stripes")


def test_one_image_is_too_few(copy, tiny_bundle, frames):
    with pytest.raises(CalibrationError, match="1 different normal images were given; at least 2"):
        calibrate(copy(tiny_bundle), [frames[0], frames[0]], None, "stripes")


def test_images_of_the_training_are_refused(copy, tiny_bundle, frames, mvtec_folder):
    bundle = copy(tiny_bundle)
    with pytest.raises(CalibrationError, match=r"trained on 16 of the 24 images given, train/good/\d+\.png among"):
        calibrate_folder(bundle, str(mvtec_folder), None)
    assert len(entries(bundle)) == 1


def test_a_frame_that_the_model_cannot_take_is_refused(copy, tiny_bundle, frames):
    deep = [(name, frame.astype(np.uint16)) for name, frame in frames]
    with pytest.raises(ImageError, match="uint16"):
        calibrate(copy(tiny_bundle), deep, None, "stripes")


def test_a_folder_is_calibrated_and_the_table_printed(copy, tiny_bundle, folder, capsys):
    bundle = copy(tiny_bundle)
    calibrate_folder(bundle, str(folder), 0.1)
    printed = capsys.readouterr().out
    assert "search" in printed
    assert "encoder" in printed
    assert "10.00%" in printed
    assert "pixel statistics from 5 further images" in printed
    assert entries(bundle)[-1]["images"] == str(folder)


def test_the_table_shows_scaled_thresholds_where_users_see_them(copy, tiny_bundle, folder, capsys):
    bundle = change_manifest(copy(tiny_bundle), scores={"scale": "min_max"})
    calibrate_folder(bundle, str(folder), 0.1)
    record = open_bundle(bundle).require_calibration()
    printed = capsys.readouterr().out
    for threshold, scores in ((record.search, record.search_range), (record.encoder, record.encoder_range)):
        assert f"{threshold.value:.5g}" in printed
        assert f"{(threshold.value - scores.low) / (scores.high - scores.low):.4g}" in printed
    calibrate_folder(change_manifest(bundle, scores={"scale": "none"}), str(folder), 0.1)
    assert "min-max" not in capsys.readouterr().out


def test_images_that_cannot_be_used_are_skipped_and_named(copy, tiny_bundle, folder, capsys):
    (folder / "broken.png").write_bytes(b"")
    cv2.imwrite(str(folder / "deep.png"), np.zeros((40, 48), np.uint16))
    bundle = copy(tiny_bundle)
    calibrate_folder(bundle, str(folder), None)
    printed = capsys.readouterr().out
    assert f"skipped: {folder}/broken.png is empty (0 bytes)" in printed
    assert "skipped: deep.png: a frame of uint16 was given" in printed
    assert len(entries(bundle)[-1]["fingerprints"]) == 20


def test_a_folder_of_unusable_images_is_an_error(copy, tiny_bundle, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/broken.png").write_bytes(b"")
    with pytest.raises(CalibrationError, match=r"none of the 1 images in .* can be used, the first because .*0 bytes"):
        calibrate_folder(copy(tiny_bundle), str(tmp_path / "bad"), None)


def test_a_missing_folder_is_an_error(copy, tiny_bundle, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        calibrate_folder(copy(tiny_bundle), str(tmp_path / "nowhere"), None)


def test_what_is_no_bundle_is_an_error(tmp_path, folder):
    with pytest.raises(BundleError, match="is no bundle"):
        calibrate_folder(tmp_path, str(folder), None)


def test_a_file_in_the_place_of_the_statistics_is_an_error(copy, tiny_bundle, frames):
    bundle = copy(tiny_bundle)
    shutil.rmtree(bundle / "calibration")
    (bundle / "calibration").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        calibrate(bundle, frames, None, "stripes")
    assert len(entries(bundle)) == 1


def test_images_of_12_bits_calibrate_a_model_of_8_as_their_8_bits_do(tiny_bundle, copy, tmp_path):
    random = np.random.default_rng(21)
    for name in ("deep", "shallow"):
        (tmp_path / name).mkdir()
    for number in range(20):
        frame = texture(random)
        cv2.imwrite(str(tmp_path / f"shallow/{number:02d}.png"), frame)
        cv2.imwrite(str(tmp_path / f"deep/{number:02d}.png"), np.rint(frame * (4095 / 255)).astype(np.uint16))
    bundle, thresholds = copy(tiny_bundle), []
    for name, levels in (("shallow", None), ("deep", (0, 4095))):
        calibrate_folder(bundle, str(tmp_path / name), 0.1, levels)
        thresholds.append(open_bundle(bundle).require_calibration().search.value)
    assert thresholds[0] == thresholds[1]
