import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganspect.bundle import append_calibration, open_bundle
from ganspect.errors import BundleError, CalibrationError, ConfigError, ImageError
from ganspect.opencv import cv2
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.search import LatentSearch
from tests.runtime.conftest import change_manifest, set_scale, set_threshold

ROOT = Path(__file__).resolve().parents[2]


def load(folder, **options):
    return Inspector.load(folder, tuning=Tuning(threads=1), **options)


def test_a_cleared_frame_is_normal(copy, tiny_bundle, normal_frames):
    with load(set_threshold(copy(tiny_bundle), 1.0)) as inspector:
        verdict = inspector.inspect(normal_frames[0])
    assert (verdict.verdict, verdict.anomalous, verdict.outcome) == ("normal", False, "cleared")
    assert verdict.score == verdict.start_score <= verdict.threshold == 1.0
    assert verdict.steps == 1
    assert verdict.regions == ()


def test_a_frame_above_the_threshold_is_anomalous(copy, tiny_bundle, scratched_frames):
    with load(set_threshold(copy(tiny_bundle), 0.0)) as inspector:
        verdict = inspector.inspect(scratched_frames[0])
    assert (verdict.verdict, verdict.anomalous, verdict.outcome) == ("anomalous", True, "complete")
    assert verdict.start_score >= verdict.score > verdict.threshold == 0.0
    assert verdict.steps == 5


def test_the_calibrated_threshold_and_steps_are_used(tiny_bundle, inspector):
    calibration = open_bundle(tiny_bundle).require_calibration()
    assert inspector.threshold == calibration.search.value
    assert inspector.steps == calibration.steps == 5


@pytest.mark.parametrize("mode", ["search", "encoder"])
def test_a_scale_changes_what_is_shown_and_no_verdict(copy, tiny_bundle, normal_frames, scratched_frames, mode):
    ranges = {"search": (0.1, 0.3), "encoder": (0.05, 0.4)}
    low, high = ranges[mode]
    scaled_bundle = set_scale(copy(tiny_bundle), **ranges)
    verdicts = set()
    with load(tiny_bundle, mode=mode) as plain, load(scaled_bundle, mode=mode) as scaled:
        for frame in [*normal_frames, *scratched_frames]:
            raw, shown = plain.inspect(frame), scaled.inspect(frame)
            for key in ("verdict", "outcome", "steps", "regions"):
                assert getattr(raw, key) == getattr(shown, key)
            np.testing.assert_array_equal(raw.heat_map, shown.heat_map)
            for key in ("score", "threshold", "start_score"):
                before, after = getattr(raw, key), getattr(shown, key)
                if before is not None:
                    before = pytest.approx((before - low) / (high - low))
                assert after == before
            assert shown.threshold == scaled.threshold
            verdicts.add(raw.verdict)
    assert verdicts == {"normal", "anomalous"}


def test_a_bundle_that_scales_needs_a_range(copy, tiny_bundle):
    folder = change_manifest(copy(tiny_bundle), scores={"scale": "min_max"})
    record = open_bundle(folder).require_calibration()
    append_calibration(folder, record.model_copy(update={"search_range": None}))
    with pytest.raises(CalibrationError, match="recorded no range of the search score"):
        load(folder)


def test_steps_may_be_changed(copy, tiny_bundle, normal_frames):
    folder = set_threshold(copy(tiny_bundle), 0.0)
    with load(folder, steps=3) as short, load(folder, steps=25) as long:
        assert short.inspect(normal_frames[0]).steps == 3
        verdict = long.inspect(normal_frames[0])
    assert verdict.steps == 25
    assert verdict.score < verdict.start_score


def test_steps_within_the_burn_in_are_refused(copy, tiny_bundle):
    folder = change_manifest(copy(tiny_bundle), search={"burn_in": 3})
    with pytest.raises(ConfigError, match=r"3 steps were asked for, but .* count after 3; give 4 or more"):
        load(folder, steps=3)


def test_no_time_leaves_a_frame_undecided(copy, tiny_bundle, normal_frames):
    with load(set_threshold(copy(tiny_bundle), 0.0), budget_ms=0) as inspector:
        verdict = inspector.inspect(normal_frames[0])
    assert (verdict.verdict, verdict.anomalous, verdict.outcome) == ("undecided", True, "budget")
    assert verdict.score == verdict.start_score
    assert verdict.steps == 1


def test_no_time_is_enough_for_what_the_start_clears(copy, tiny_bundle, normal_frames):
    with load(set_threshold(copy(tiny_bundle), 1.0), budget_ms=0) as inspector:
        assert inspector.inspect(normal_frames[0]).verdict == "normal"


def test_a_budget_stops_a_search_that_has_far_to_go(copy, tiny_bundle, normal_frames):
    with load(set_threshold(copy(tiny_bundle), 0.0), budget_ms=60, steps=10_000) as inspector:
        verdict = inspector.inspect(normal_frames[0])
    assert verdict.outcome == "budget"
    assert verdict.steps < 10_000


def test_a_budget_leaves_time_for_what_follows_the_search(copy, tiny_bundle, normal_frames):
    with load(set_threshold(copy(tiny_bundle), 0.0), budget_ms=1000, steps=3) as inspector:
        inspector._after_search_ms = 3000.0
        assert inspector.inspect(normal_frames[0]).outcome == "budget"
        assert inspector._after_search_ms == 1500.0


def test_the_heat_map_has_the_frames_size_and_range(inspector, scratched_frames):
    frame = np.tile(scratched_frames[0], (2, 3))
    heat_map = inspector.inspect(frame).heat_map
    assert heat_map.shape == frame.shape
    assert heat_map.dtype == np.float32
    assert 0 <= heat_map.min() <= heat_map.max() <= 1


def test_the_latency_is_split(inspector, normal_frames):
    latency_ms = inspector.inspect(normal_frames[0]).latency_ms
    assert list(latency_ms) == ["preprocess", "score", "search", "total"]
    parts = latency_ms["preprocess"] + latency_ms["score"] + latency_ms["search"]
    assert 0 < parts <= latency_ms["total"]


def test_regions_lie_where_the_reconstruction_fails(copy, tiny_bundle, normal_frames):
    frame = normal_frames[0].copy()
    frame[10:20, 24:40] = 255 - (frame[10:20, 24:40] > 127) * np.uint8(255)
    with load(set_threshold(copy(tiny_bundle), 0.0)) as inspector:
        plain, defect = inspector.inspect(normal_frames[0]), inspector.inspect(frame)
    assert defect.regions
    x1, y1, x2, y2 = defect.regions[0].xyxy
    assert (x1 < 40, x2 > 24, y1 < 20, y2 > 10) == (True, True, True, True)
    assert defect.regions[0].peak == pytest.approx(defect.heat_map.max())
    assert sum(region.area_px for region in plain.regions) < sum(region.area_px for region in defect.regions)


def test_levels_follow_the_size_of_the_frame(copy, tiny_bundle, scratched_frames):
    with load(set_threshold(copy(tiny_bundle), 0.0)) as inspector:
        small = inspector.inspect(scratched_frames[0])
        inspector.inspect(np.tile(scratched_frames[0], (2, 3)))
        again = inspector.inspect(scratched_frames[0])
    assert small.regions == again.regions


def test_a_verdict_cannot_be_changed(inspector, normal_frames):
    with pytest.raises(dataclasses.FrozenInstanceError):
        inspector.inspect(normal_frames[0]).score = 0.0


def test_a_colour_frame_is_taken_by_a_grey_model(inspector, normal_frames):
    grey = inspector.inspect(normal_frames[0])
    colour = inspector.inspect(np.repeat(normal_frames[0][..., None], 3, axis=2))
    assert colour.score == pytest.approx(grey.score, rel=1e-4)


def test_a_frame_with_alpha_is_refused(inspector):
    with pytest.raises(ImageError, match="4 channels"):
        inspector.inspect(np.zeros((40, 48, 4), np.uint8))


def test_a_16_bit_frame_is_refused_by_an_8_bit_model(inspector):
    with pytest.raises(ImageError, match="uint16 was given, the model expects 8 bit"):
        inspector.inspect(np.zeros((40, 48), np.uint16))


def test_a_16_bit_model_takes_16_bit_frames(copy, tiny_bundle, inspector, normal_frames):
    with load(change_manifest(copy(tiny_bundle), image={"bits": 16})) as deep:
        verdict = deep.inspect(normal_frames[0].astype(np.uint16) << 8)
    assert verdict.score == inspector.inspect(normal_frames[0]).score


def test_the_largest_tile_decides(copy, tiny_bundle, normal_frames, scratched_frames):
    folder = set_threshold(change_manifest(copy(tiny_bundle), image={"fit": "tiles", "overlap": 0.0}), 0.0)
    normal, scratched = normal_frames[0][:32, :32], scratched_frames[0][8:40, 16:48]
    with load(folder) as inspector:
        parts = [inspector.inspect(part).score for part in (normal, scratched)]
        verdict = inspector.inspect(np.concatenate([normal, scratched], axis=1))
    assert verdict.heat_map.shape == (32, 64)
    assert verdict.score == pytest.approx(max(parts), rel=1e-2)


def test_one_tile_above_the_threshold_makes_the_frame_anomalous(copy, tiny_bundle, normal_frames, scratched_frames):
    folder = change_manifest(copy(tiny_bundle), image={"fit": "tiles", "overlap": 0.0})
    normal, scratched = normal_frames[0][:32, :32], scratched_frames[0][8:40, 16:48]
    with load(set_threshold(folder, 0.0)) as inspector:
        low, high = sorted(inspector.inspect(part).score for part in (normal, scratched))
    with load(set_threshold(folder, (low + high) / 2)) as inspector:
        verdict = inspector.inspect(np.concatenate([normal, scratched], axis=1))
    assert (verdict.verdict, verdict.outcome) == ("anomalous", "complete")


def test_encoder_mode_has_its_own_score_and_threshold(copy, tiny_bundle, normal_frames, tiles):
    folder = copy(tiny_bundle)
    with load(folder, mode="encoder") as inspector:
        assert inspector.threshold == open_bundle(folder).require_calibration().encoder.value
        verdict = inspector.inspect(normal_frames[0])
        scores = LatentSearch(inspector.bundle, inspector.backend).score(tiles[:1])
    assert verdict.score == scores.encoder_score[0]
    assert (verdict.outcome, verdict.steps, verdict.start_score) == ("complete", 0, None)
    assert verdict.latency_ms["search"] == 0


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, "anomalous"), (100.0, "normal")])
def test_encoder_mode_gives_both_verdicts(copy, tiny_bundle, normal_frames, threshold, expected):
    with load(set_threshold(copy(tiny_bundle), threshold, mode="encoder"), mode="encoder") as inspector:
        assert inspector.inspect(normal_frames[0]).verdict == expected


def test_encoder_mode_needs_an_encoder(tiny_anogan_bundle):
    with pytest.raises(ConfigError, match=r"has no encoder \(anogan\).*use --mode search"):
        load(tiny_anogan_bundle, mode="encoder")


def test_without_an_encoder_the_search_starts_at_random(tiny_anogan_bundle, normal_frames):
    with load(tiny_anogan_bundle) as inspector:
        verdict = inspector.inspect(normal_frames[0])
    assert verdict.start_score is None
    assert verdict.latency_ms["score"] == 0
    assert verdict.steps >= 1


def test_a_score_that_is_not_a_number_is_anomalous(copy, rescored_bundle, normal_frames):
    folder = set_threshold(copy(rescored_bundle), 1e30)
    with load(folder) as inspector:
        for maps in inspector._search._maps.values():
            assert sorted(maps) == ["pixel_deviation", "pixel_mean"]
            maps.update({name: np.full((32, 32), np.nan, np.float32) for name in maps})
        verdict = inspector.inspect(normal_frames[0])
    assert (verdict.verdict, verdict.score) == ("anomalous", math.inf)
    assert math.isnan(verdict.start_score)


def test_an_uncalibrated_bundle_is_refused(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    (folder / "calibration.json").unlink()
    with pytest.raises(CalibrationError, match="has no threshold yet; run: ganspect calibrate"):
        load(folder)


def test_changed_pixel_statistics_are_refused(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    statistics = next((folder / "calibration").glob("*.safetensors"))
    statistics.write_bytes(statistics.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="was changed"):
        load(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "encode"}, "unknown mode 'encode'; did you mean 'encoder'"),
        ({"steps": 0}, "0 steps were asked for"),
        ({"budget_ms": -1.0}, r"a budget of -1\.0 ms"),
        ({"budget_ms": math.nan}, "a budget of nan ms"),
        ({"mode": "encoder", "budget_ms": 5.0}, "encoder mode has not"),
        ({"mode": "encoder", "steps": 5}, "encoder mode has not"),
        ({"backend": "onyx"}, "unknown backend 'onyx'"),
    ],
)
def test_impossible_options_are_refused(tiny_bundle, options, message):
    with pytest.raises(ConfigError, match=message):
        Inspector.load(tiny_bundle, **options)


PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxscript"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import numpy as np
from ganspect.runtime import Inspector

with Inspector.load(sys.argv[1]) as inspector:
    print(inspector.inspect(np.zeros((40, 48), np.uint8)).verdict)
print(sorted({"torch", "onnx"} & set(sys.modules)))
"""


def test_it_inspects_where_pytorch_cannot_be_imported(tiny_bundle):
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n")[:2] == ["anomalous", "[]"]


def test_frames_of_other_sizes_in_turn_get_the_verdicts_they_get_alone(tiny_bundle, scratched_frames):
    frames = [cv2.resize(scratched_frames[0], (width, width - 8)) for width in range(40, 60)]
    with Inspector.load(tiny_bundle, tuning=Tuning(threads=1)) as shared:
        first, second = ([shared.inspect(frame) for frame in frames] for _ in range(2))
        first, second = list(first), list(second)
        assert len(shared._levels) <= 16, "sizes without end take no memory without end"
    for frame, one, other in zip(frames, first, second, strict=True):
        assert one.regions == other.regions
        assert other.heat_map.shape == frame.shape
    with Inspector.load(tiny_bundle, tuning=Tuning(threads=1)) as fresh:
        alone = fresh.inspect(frames[-1])
    assert (alone.verdict, alone.regions) == (second[-1].verdict, second[-1].regions)


def test_a_bundle_of_its_encoder_takes_no_notice_of_a_budget_and_refuses_steps(features_bundle: Path) -> None:
    with Inspector.load(features_bundle, budget_ms=0) as inspector:
        frame = np.full((64, 64), 128, np.uint8)
        assert (inspector.mode, inspector.inspect(frame).outcome) == ("encoder", "complete")
    with pytest.raises(ConfigError, match=r"3 steps were asked for, but .* gives its verdicts by its encoder, which"):
        Inspector.load(features_bundle, steps=3)
    with Inspector.load(features_bundle, mode="search", budget_ms=500) as inspector:
        assert inspector.mode == "search"
