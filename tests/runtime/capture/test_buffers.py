import threading
import time

import pytest

from ganspect.runtime.capture.buffers import Bell, EveryBuffer, LatestBuffer, TriggerBuffer, take_next
from tests.runtime.capture.arrivals import arrival


def take(buffer, bell, timeout_s=1.0):
    found = take_next(bell, [buffer], after=-1, timeout_s=timeout_s)
    return None if found is None else found[1]


def test_latest_gives_the_freshest_and_counts_the_others():
    bell = Bell()
    buffer = LatestBuffer(bell)
    for sequence in range(5):
        buffer.put(arrival(sequence))
    assert take(buffer, bell).sequence == 4
    assert buffer.dropped == 4
    assert take(buffer, bell, timeout_s=0.0) is None


def test_every_gives_all_in_order_and_makes_the_source_wait():
    bell = Bell()
    buffer = EveryBuffer(bell, capacity=2)
    thread = threading.Thread(target=lambda: [buffer.put(arrival(sequence)) for sequence in range(50)])
    thread.start()
    found = []
    while len(found) < 50:
        assert len(buffer) <= 2
        found.append(take(buffer, bell).sequence)
    thread.join(1)
    assert found == list(range(50))
    assert buffer.dropped == 0


def test_a_source_that_waits_for_room_is_let_go_when_the_buffer_closes():
    bell = Bell()
    buffer = EveryBuffer(bell, capacity=1)
    buffer.put(arrival(0))
    thread = threading.Thread(target=lambda: buffer.put(arrival(1)))
    thread.start()
    buffer.close()
    thread.join(1)
    assert not thread.is_alive()
    assert buffer.dropped == 1
    assert take(buffer, bell).sequence == 0, "what was captured can still be taken"


def test_a_trigger_gives_the_first_frame_after_the_signal_and_no_other():
    bell = Bell()
    buffer = TriggerBuffer(bell)
    early = arrival(0)
    signal = buffer.signal("part 7")
    buffer.put(early)
    assert take(buffer, bell, timeout_s=0.0) is None, "it was there before the signal"
    buffer.put(arrival(1))
    buffer.put(arrival(2))
    found = take(buffer, bell)
    assert (found.sequence, found.signal) == (1, signal)
    assert take(buffer, bell, timeout_s=0.0) is None


def test_each_signal_gets_a_frame_of_its_own():
    bell = Bell()
    buffer = TriggerBuffer(bell)
    first, second = buffer.signal("a"), buffer.signal("b")
    for sequence in range(3):
        buffer.put(arrival(sequence))
    assert [take(buffer, bell).signal for _ in range(2)] == [first, second]


def test_a_signal_without_a_frame_in_time_is_missed():
    bell = Bell()
    buffer = TriggerBuffer(bell, wait_s=0.5)
    signal = buffer.signal("lost")
    buffer.put(arrival(0, arrived_ns=signal.given_ns + 600_000_000))
    assert buffer.missed == 1
    assert take(buffer, bell, timeout_s=0.0) is None


def test_cameras_take_turns():
    bell = Bell()
    busy, quiet = EveryBuffer(bell, 100), EveryBuffer(bell, 100)
    for sequence in range(10):
        busy.put(arrival(sequence, "busy"))
    quiet.put(arrival(0, "quiet"))
    last, found = -1, []
    for _ in range(3):
        last, taken = take_next(bell, [busy, quiet], after=last, timeout_s=0.0)
        found.append(taken.camera)
    assert found == ["busy", "quiet", "busy"]


def test_a_frame_wakes_who_waits():
    bell = Bell()
    buffer = LatestBuffer(bell)
    timer = threading.Timer(0.05, lambda: buffer.put(arrival(3)))
    timer.start()
    begin_s = time.monotonic()
    assert take(buffer, bell, timeout_s=5.0).sequence == 3
    assert time.monotonic() - begin_s < 4.0


@pytest.mark.parametrize("kind", [LatestBuffer, EveryBuffer, TriggerBuffer])
def test_frames_after_the_end_are_dropped(kind):
    bell = Bell()
    buffer = kind(bell)
    buffer.close()
    if isinstance(buffer, TriggerBuffer):
        buffer.signal()
    buffer.put(arrival(0))
    assert len(buffer) == 0
    assert buffer.dropped == 1


def test_what_is_missed_is_told_with_its_signal():
    missed = []
    bell = Bell()
    buffer = TriggerBuffer(bell, wait_s=0.5, capacity=2, on_missed=missed.append)
    first, second, third = (buffer.signal(name) for name in ("a", "b", "too many"))
    assert missed == [third]
    buffer.put(arrival(0, arrived_ns=second.given_ns))
    assert len(buffer) == 1
    buffer.pass_over()
    assert missed == [third, first, second]
    assert buffer.missed == 3
    assert take(buffer, bell, timeout_s=0.0) is None


def test_frames_that_nobody_takes_in_time_are_missed():
    bell = Bell()
    buffer = TriggerBuffer(bell, capacity=2)
    for sequence in range(3):
        buffer.signal()
        buffer.put(arrival(sequence))
    assert (len(buffer), buffer.missed) == (2, 1)
