"""A feed on sources that fail in every way that a camera does."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ganspect.errors import SourceError
from ganspect.runtime.capture.buffers import Bell, EveryBuffer, take_next
from ganspect.runtime.capture.feed import Feed, FeedSettings
from ganspect.runtime.capture.source import Shot, Source

QUICK = FeedSettings(backoff_first_s=0.005, backoff_most_s=0.02)


class Scripted(Source):
    """Gives frames until its script says otherwise."""

    def __init__(self, frames: list[int | Exception | threading.Event]) -> None:
        super().__init__("scripted", length=None, frames_per_s=100.0)
        self._frames = frames

    def __iter__(self) -> Iterator[Shot]:
        for index, entry in enumerate(self._frames):
            if isinstance(entry, Exception):
                raise entry
            if isinstance(entry, threading.Event):
                entry.wait(5)
                continue
            yield Shot("scripted", index, 0, np.full((4, 6), entry, np.uint8), 0.0)


class Camera:
    """A feed, its buffer, and the states that it went through."""

    def __init__(self, scripts: list[object], settings: FeedSettings = QUICK) -> None:
        self.states: list[str] = []
        self.bell = Bell()
        self.buffer = EveryBuffer(self.bell, 1000)
        self._scripts = iter(scripts)
        self.feed = Feed("left", self._open, self.buffer, settings, on_change=lambda now: self.states.append(now.state))

    def _open(self) -> Source:
        script = next(self._scripts, [threading.Event()])
        if isinstance(script, Exception):
            raise script
        return Scripted(script)

    def take(self, count: int) -> list[int]:
        found = []
        for _ in range(count):
            taken = take_next(self.bell, [self.buffer], after=-1, timeout_s=5)
            assert taken is not None, f"only {found} came; {self.feed.status()}"
            found.append(int(taken[1].shot.frame[0, 0]))
        return found


@pytest.fixture
def camera() -> Iterator[Callable[..., Camera]]:
    made: list[Camera] = []

    def make(*arguments: object, **options: object) -> Camera:
        made.append(Camera(*arguments, **options))
        made[-1].feed.start()
        return made[-1]

    yield make
    for one in made:
        one.feed.stop(0.2)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.005)


def test_a_camera_that_fails_is_opened_again_for_ever(camera):
    cannot = SourceError("rtsp://admin:secret@cam/1 cannot be opened")
    one = camera([cannot, cannot, [1, 2, SourceError("broke")], cannot, [3], [4, 5, ValueError("odd")], [6]])
    assert one.take(6) == [1, 2, 3, 4, 5, 6]
    status = one.feed.status()
    assert (status.frames, status.opened) == (6, 4)
    # Two of opening, one that broke, one of opening, one that ended, one odd error.
    assert status.failures >= 6
    assert one.states[:3] == ["lost", "opening", "lost"]
    assert "live" in one.states


def test_frames_are_numbered_through_all_failures(camera):
    one = camera([[1, SourceError("broke")], [2]])
    taken = [take_next(one.bell, [one.buffer], after=-1, timeout_s=5)[1] for _ in range(2)]
    assert [arrival.sequence for arrival in taken] == [0, 1]


def test_errors_are_told_without_credentials(camera):
    one = camera([SourceError("rtsp://admin:secret@cam/1 cannot be opened")], FeedSettings(backoff_first_s=60))
    wait_for(lambda: one.feed.status().state == "lost", "it fails")
    assert one.feed.status().error == "rtsp://***@cam/1 cannot be opened"


def test_a_file_ends_and_one_that_loops_begins_again(camera):
    one = camera([[1, 2]], FeedSettings(live=False))
    assert one.take(2) == [1, 2]
    wait_for(lambda: one.feed.status().state == "ended", "the file ends")
    again = camera([[1, 2], [1, 2], [1]], FeedSettings(live=False, loop=True))
    assert again.take(5) == [1, 2, 1, 2, 1]
    assert again.states == ["live"], "beginning again is no event"
    assert again.feed.status().failures == 0


def test_a_stream_that_stops_without_an_error_is_stalled_and_then_left_behind(camera):
    hung = threading.Event()
    settings = FeedSettings(stalled_after_s=0.05, abandon_after_s=0.2, backoff_first_s=0.005)
    one = camera([[1, hung, 99], [2, 3, threading.Event()]], settings)
    assert one.take(1) == [1]

    def checked():
        one.feed.check()
        return one.feed.status()

    wait_for(lambda: checked().state == "stalled", "it stalls")
    wait_for(lambda: checked().abandoned == 1, "the thread is left behind")
    assert one.take(2) == [2, 3]
    hung.set()
    time.sleep(0.05)
    assert len(one.buffer) == 0, "what a thread that was left behind still gives is not wanted"
    assert "stalled" in one.states


class Pause(threading.Event):
    """Ten milliseconds between two frames."""

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(0.01)
        return True


def slowly(count: int) -> list[object]:
    """The same frame again and again."""
    return [entry for _ in range(count) for entry in (7, Pause())]


def test_the_same_frame_for_too_long_is_frozen(camera):
    settings = FeedSettings(frozen_after_s=0.02, backoff_first_s=0.005)
    one = camera([slowly(20), [8, threading.Event()]], settings)
    wait_for(lambda: "frozen" in one.states, "it is found to be frozen")
    wait_for(lambda: one.feed.status().opened == 2, "it is opened again")
    assert one.feed.status().failures == 1


def test_a_camera_that_stays_frozen_is_not_well_again_for_being_opened_again(camera):
    settings = FeedSettings(frozen_after_s=0.05, backoff_first_s=0.005, backoff_most_s=10)
    one = camera([slowly(50) for _ in range(4)] + [[8, 9, threading.Event()]], settings)
    wait_for(lambda: one.feed.status().opened == 3, "it is opened again")
    assert one.states.count("live") == 1
    assert "has given the same frame for" in one.feed.status().error
    wait_for(lambda: one.feed.status().state == "live", "it moves again")
    wait_for(lambda: not one.feed.status().error, "it is well again")


def test_one_that_gives_a_single_frame_each_time_is_asked_less_and_less_often(camera):
    settings = FeedSettings(backoff_first_s=0.01, backoff_most_s=10)
    one = camera([[number, SourceError("gone")] for number in range(100)], settings)
    begin_s = time.monotonic()
    wait_for(lambda: one.feed.status().opened == 6, "it is opened some times")
    assert time.monotonic() - begin_s > 0.5 * 0.01 * (1 + 2 + 4 + 8 + 16)
    moving = camera([[1, 2, SourceError("gone")] for _ in range(100)], settings)
    begin_s = time.monotonic()
    wait_for(lambda: moving.feed.status().opened == 20, "one that moves is asked again at once")
    assert time.monotonic() - begin_s < 2


def test_the_end_of_a_thread_that_was_left_behind_ends_nothing(camera):
    hung, kept = threading.Event(), threading.Event()
    settings = FeedSettings(live=False, stalled_after_s=0.02, abandon_after_s=0.05)
    one = camera([[1, hung], [1, kept, 2]], settings)
    assert one.take(1) == [1]

    def left_behind() -> bool:
        one.feed.check()
        return one.feed.status().abandoned == 1

    wait_for(left_behind, "the thread is left behind")
    assert one.take(1) == [1]
    hung.set()
    time.sleep(0.05)
    assert not one.feed.through
    kept.set()
    assert one.take(1) == [2]


def test_a_paced_file_keeps_its_own_rate(camera):
    begin_s = time.monotonic()
    one = camera([list(range(11))], FeedSettings(live=False, paced=True))
    assert one.take(11) == list(range(11))
    assert time.monotonic() - begin_s >= 0.1


def test_a_feed_stops_while_it_waits_to_try_again(camera):
    one = camera([SourceError("away")], FeedSettings(backoff_first_s=60))
    wait_for(lambda: one.feed.status().state == "lost", "it fails")
    begin_s = time.monotonic()
    one.feed.stop()
    assert time.monotonic() - begin_s < 1.5
    assert one.feed.status().state == "stopped"


def test_rate_size_and_age_are_measured(camera):
    one = camera([[*range(20), threading.Event()]], FeedSettings(paced=True))
    one.take(20)
    status = one.feed.status()
    assert status.size_hw == (4, 6)
    assert 20 < status.frames_per_s < 130
    assert 0 <= status.age_s < 5


def test_threads_that_hang_are_capped_and_the_camera_goes_on_when_one_comes_back(camera, caplog):
    hung = [threading.Event() for _ in range(5)]
    settings = FeedSettings(stalled_after_s=0.01, abandon_after_s=0.03, backoff_first_s=0.005)
    one = camera([*([event] for event in hung), [7, 8, threading.Event()]], settings)

    def checked():
        one.feed.check()
        return one.feed.status()

    wait_for(lambda: checked().abandoned == 5, "five threads are left behind")
    for _ in range(20):
        status = checked()
        time.sleep(0.005)
    assert (status.state, status.opened, status.abandoned, status.hung) == ("lost", 5, 5, 5)
    assert (
        "5 threads hang in the camera's driver, so it is not opened again until one of them comes back" in status.error
    )
    assert [record.levelname for record in caplog.records] == ["ERROR"], "once, and loudly"
    hung[2].set()
    wait_for(lambda: checked().opened == 6, "it is opened again")
    assert one.take(2) == [7, 8]
    assert one.feed.status().error == ""
    for event in hung:
        event.set()


def test_what_a_driver_dropped_is_counted_over_all_its_openings(camera):
    class Dropping(Scripted):
        def __iter__(self):
            self.dropped += 3
            return super().__iter__()

    one = camera([])
    one.feed.stop()
    made = iter([Dropping([1, SourceError("broke")]), Dropping([2, threading.Event()])])
    again = Camera([])
    again._open = lambda: next(made)
    again.feed._open_source = again._open
    again.feed.start()
    assert again.take(2) == [1, 2]
    assert again.feed.status().dropped == 6
    again.feed.stop(0.2)


def test_what_is_live_again_is_not_said_to_have_failed():
    errors = {}
    one = Camera([SourceError("away"), [1, 2, threading.Event()]])
    one.feed._on_change = lambda now: errors.setdefault(now.state, now.error)
    one.feed.start()
    wait_for(lambda: "live" in errors, "it is live")
    one.feed.stop()
    assert (errors["lost"], errors["live"]) == ("away", "")
