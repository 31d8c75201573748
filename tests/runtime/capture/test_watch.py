import threading
import time

import numpy as np
import pytest

from ganspect.errors import SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture.address import read_address
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.watch import WatchSource

QUICK = SourceSettings(poll_s=0.01, settle_s=0.05, give_up_s=0.2)
PICTURE = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))[1].tobytes()


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "line"
    folder.mkdir()
    with WatchSource(read_address(f"watch:{folder}"), QUICK) as source:
        yield folder, source


def later(delay_s, action):
    timer = threading.Timer(delay_s, action)
    timer.daemon = True
    timer.start()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_files_are_taken_once_and_move_away_when_their_verdict_is_safe(watched):
    folder, source = watched
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(PICTURE)
    frames = iter(source)
    first, second = next(frames), next(frames)
    assert [shot.source.rpartition("/")[2] for shot in (first, second)] == ["a.png", "b.png"]
    assert names(folder) == ["a.png", "b.png"], "a verdict that is not safe yet may be lost"
    source.done(first)
    source.done(second)
    assert names(folder) == []
    assert names(folder / "done") == ["a.png", "b.png"]
    later(0.2, source.close)
    assert list(frames) == []


def test_a_file_that_is_still_being_written_is_waited_for(watched):
    folder, source = watched
    path = folder / "slow.png"
    path.write_bytes(PICTURE[:100])

    def append():
        with path.open("ab") as file:
            for begin in range(100, len(PICTURE), 300):
                file.write(PICTURE[begin : begin + 300])
                file.flush()
                time.sleep(0.02)

    later(0.02, append)
    shot = next(iter(source))
    assert shot.frame.shape == (40, 40)
    assert source.skipped == []


def test_half_a_file_is_put_aside_and_the_next_one_goes_on(watched):
    folder, source = watched
    (folder / "broken.png").write_bytes(PICTURE[: len(PICTURE) // 2])
    (folder / "whole.png").write_bytes(PICTURE)
    (folder / ".whole.png.tmp").write_bytes(PICTURE)
    (folder / "notes.txt").write_text("no image")
    frames = iter(source)
    assert next(frames).source.endswith("whole.png")
    later(0.6, source.close)
    assert list(frames) == []
    assert names(folder / "failed") == ["broken.png"]
    assert source.skipped[0].name.endswith("broken.png")


def test_files_of_one_name_do_not_replace_each_other(watched):
    folder, source = watched
    frames = iter(source)
    for _ in range(2):
        (folder / "part.png").write_bytes(PICTURE)
        source.done(next(frames))
    assert len(names(folder / "done")) == 2


def test_no_such_folder(tmp_path):
    with pytest.raises(SourceError, match=r"watch:.*nowhere: there is no such folder; create it"):
        WatchSource(read_address(f"watch:{tmp_path / 'nowhere'}"), QUICK)


def test_files_that_cannot_be_moved(tmp_path):
    (tmp_path / "done").write_text("a file in the way")
    with pytest.raises(SourceError, match="inspected files move to done/, but"):
        WatchSource(read_address(f"watch:{tmp_path}"), QUICK)
