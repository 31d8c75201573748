import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ganspect.datasets.images import read_image
from ganspect.errors import ImageError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture import watch
from ganspect.runtime.capture.address import read_address
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.watch import Ledger, WatchSource

QUICK = SourceSettings(poll_s=0.01, settle_s=0.05, give_up_s=0.2)
OTHER = cv2.imencode(".png", np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8))[1].tobytes()
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
    later(0.2, source.close)
    assert list(frames) == []
    assert names(folder) == []
    assert names(folder / "done") == ["a.png", "b.png"]


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
    folder, _ = watched
    for _ in range(2):
        (folder / "part.png").write_bytes(PICTURE)
        again = WatchSource(read_address(f"watch:{folder}"), QUICK)
        again.done(next(iter(again)))
        again.close()
    assert len(names(folder / "done")) == 2


def test_a_file_that_took_the_name_of_one_that_is_done_is_judged_too(watched):
    folder, source = watched
    (folder / "part.png").write_bytes(PICTURE)
    frames = iter(source)
    first = next(frames)
    (folder / "next.png").write_bytes(OTHER)
    (folder / "next.png").replace(folder / "part.png")
    source.done(first)
    second = next(frames)
    assert not np.array_equal(first.frame, second.frame)
    source.done(second)
    source.close()
    assert names(folder / "done") == ["part.png"]


def test_a_folder_of_done_files_that_was_taken_away_is_made_again(watched):
    folder, source = watched
    (folder / "part.png").write_bytes(PICTURE)
    frames = iter(source)
    shot = next(frames)
    (folder / "done").rmdir()
    source.done(shot)
    later(0.2, source.close)
    assert list(frames) == []
    assert names(folder / "done") == ["part.png"]


def test_what_was_taken_is_known_when_the_folder_is_opened_anew(watched):
    folder, _ = watched
    ledger = Ledger()
    (folder / "part.png").write_bytes(PICTURE)
    first = WatchSource(read_address(f"watch:{folder}"), QUICK, ledger)
    shot = next(iter(first))
    second = WatchSource(read_address(f"watch:{folder}"), QUICK, ledger)
    later(0.3, second.close)
    assert list(second) == [], "it is being judged"
    first.done(shot)
    assert ledger.settle() == 0
    assert names(folder / "done") == ["part.png"]


def test_a_move_that_fails_is_tried_again_and_nothing_is_judged_twice(watched, monkeypatch):
    folder, source = watched
    (folder / "part.png").write_bytes(PICTURE)
    frames = iter(source)
    source.done(next(frames))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(PermissionError("read-only")))
        later(0.3, source.interrupt)
        assert list(frames) == []
        source.close()
    assert names(folder) == ["part.png"]
    assert source._ledger.settle() == 0
    assert names(folder / "done") == ["part.png"]


def test_what_cannot_be_judged_is_put_aside(watched):
    folder, source = watched
    (folder / "part.png").write_bytes(PICTURE)
    source.failed(next(iter(source)))
    source.close()
    assert names(folder / "failed") == ["part.png"]


def test_a_file_that_fails_is_not_read_without_a_pause_and_one_that_failed_once_is_not_given_up(watched, monkeypatch):
    folder, source = watched
    reads = []

    def fail_at_first(path):
        reads.append(path)
        if len(reads) < 4:
            raise ImageError(f"{path} cannot be read for a moment")
        return read_image(path)

    monkeypatch.setattr(watch, "read_image", fail_at_first)
    (folder / "part.png").write_bytes(PICTURE)
    begin_s = time.monotonic()
    assert next(iter(source)).source.endswith("part.png")
    assert len(reads) == 4
    assert time.monotonic() - begin_s >= QUICK.settle_s + 3 * QUICK.poll_s * 0.9
    assert source.skipped == []


def test_no_such_folder(tmp_path):
    with pytest.raises(SourceError, match=r"watch:.*nowhere: there is no such folder; create it"):
        WatchSource(read_address(f"watch:{tmp_path / 'nowhere'}"), QUICK)


def test_files_that_cannot_be_moved(tmp_path):
    (tmp_path / "done").write_text("a file in the way")
    with pytest.raises(SourceError, match="inspected files move to done/, but"):
        WatchSource(read_address(f"watch:{tmp_path}"), QUICK)
