import logging

import pytest

from ganspect.runtime.capture.feed_status import FeedStatus
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.station.state_log import StateLog


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def status(state, error="", failures=0):
    return FeedStatus("left", state, 0, 0, 0, failures, 0, 0, None, None, None, 0, error)


def test_the_first_ones_at_once_then_one_in_ten_minutes_with_the_number_left_out(clock):
    rarely, said = Rarely(clock), []
    for _ in range(121):
        said.append(rarely.text("left", f"no frame after {clock.now_s:.0f} s"))
        clock.now_s += 10
    lines = [text for text in said if text is not None]
    assert lines[:3] == ["no frame after 0 s", "no frame after 10 s", "no frame after 20 s"]
    assert lines[3:] == ["no frame after 620 s (59 more times in the last 10 min)"]


def test_another_text_or_camera_is_news(clock):
    rarely = Rarely(clock)
    for _ in range(5):
        rarely.text("left", "away")
    assert rarely.text("left", "wrong password") == "wrong password"
    assert rarely.text("right", "away") == "away"
    assert rarely.text("left", "away") is None, "what came before still counts when two texts take turns"


def test_what_was_over_for_long_is_news_again(clock):
    rarely = Rarely(clock)
    for _ in range(10):
        rarely.text("left", "away")
    clock.now_s += 3600
    assert rarely.text("left", "away") == "away"


def test_texts_without_end_take_no_memory_without_end(clock):
    rarely = Rarely(clock)
    for number in range(1000):
        rarely.text("left", "x" * number)
    assert len(rarely._kinds) == 200


def test_a_day_of_an_absent_camera_is_some_hundred_lines_and_its_return_is_logged_at_once(clock, caplog):
    log, failures = StateLog(clock), 0
    caplog.set_level(logging.INFO, "ganspect.station")
    log(status("opening"))
    while clock.now_s < 86_400:
        failures += 1
        log(status("lost", f"cannot be opened, try {failures}", failures))
        clock.now_s += 30
        log(status("opening", "", failures))
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["camera left is opening", "camera left is lost: cannot be opened, try 1"]
    assert len(messages) < 150
    assert messages[-1].endswith("(19 more times in the last 10 min)")
    log(status("live", "", failures))
    assert caplog.records[-1].getMessage() == "camera left is live"
