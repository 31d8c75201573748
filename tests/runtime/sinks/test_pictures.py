import numpy as np
import pytest

from ganspect.opencv import cv2
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.sinks.pictures import Pictures
from tests.runtime.history.entries import entry


@pytest.fixture
def make(tmp_path, inspector):
    made = []

    def make_pictures(**options):
        given = {"heat_scale": 0.5, "quota_bytes": 10**9, "verdicts": ("anomalous",)} | options
        made.append(Pictures(tmp_path / "pictures", tile_grid(inspector.bundle), **given))
        return made[-1]

    yield make_pictures
    for one in made:
        one.close()


def files(folder):
    return sorted(path for path in (folder / "pictures").rglob("*") if path.is_file())


def offer(pictures, inspector, frame, count, verdict="anomalous", begin=0):
    judged = inspector.inspect(frame)
    for number in range(begin, begin + count):
        pictures.offer(entry(number, verdict=verdict), frame, judged)


def test_a_frame_is_kept_as_it_came_with_its_heat_map_beside_it(make, inspector, scratched_frames, tmp_path):
    pictures = make()
    offer(pictures, inspector, scratched_frames[0], 1)
    pictures.close()
    frame, heat = files(tmp_path)
    assert heat.name.endswith("_heat.jpg")
    assert "_left_" in frame.name
    np.testing.assert_array_equal(cv2.imread(str(frame), cv2.IMREAD_UNCHANGED), scratched_frames[0])
    assert pictures.saved == 1


def test_normal_frames_are_not_kept(make, inspector, normal_frames, tmp_path):
    pictures = make()
    offer(pictures, inspector, normal_frames[0], 3, "normal")
    pictures.close()
    assert files(tmp_path) == []


def test_the_oldest_go_when_the_quota_is_reached_and_nothing_else_does(make, inspector, scratched_frames, tmp_path):
    pictures = make()
    (tmp_path / "pictures/notes.txt").write_text("somebody's")
    offer(pictures, inspector, scratched_frames[0], 1)
    pictures.close()
    size = sum(path.stat().st_size for path in files(tmp_path) if path.suffix != ".txt")
    limited = make(quota_bytes=5 * size + 100)
    offer(limited, inspector, scratched_frames[0], 20, begin=1)
    limited.close()
    kept = [path for path in files(tmp_path) if path.suffix != ".txt"]
    assert sum(path.stat().st_size for path in kept) <= 5 * size + 100
    assert len(kept) >= 6
    # A picture a second: the last one is there, and the first ones are not.
    assert any(path.name.startswith("221340.000_") for path in kept)
    assert not any(path.name.startswith("221320.000_") for path in kept)
    assert (tmp_path / "pictures/notes.txt").exists()


def test_too_many_at_once_are_dropped_and_counted(make, inspector, scratched_frames, monkeypatch):
    pictures = make()
    offer(pictures, inspector, scratched_frames[0], 500)
    pictures.close()
    assert pictures.saved + pictures.dropped == 500
    assert pictures.dropped > 0
    assert pictures.lost == f"{pictures.dropped:,} dropped, the disk cannot keep up"
    assert pictures.waiting == 0
