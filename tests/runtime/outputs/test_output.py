"""An output's own rules, on real pin files: when it acts, what it counts, and when it is safe."""

import time

import pytest

from ganspect.runtime.outputs.medium import Part
from ganspect.runtime.outputs.output import Output, Rules
from ganspect.runtime.outputs.pin import FileLevel, Pin
from tests.runtime.waiting import wait_for


class Recorded(Pin):
    """A pin on a real file that notes when it was set to what."""

    def __init__(self, path, **settings):
        super().__init__(FileLevel(path), heartbeat=None, **{"active_high": True, **settings})
        self.changes: list[tuple[int, bool]] = []

    def set_level(self, active):
        super().set_level(active)
        self.changes.append((time.perf_counter_ns(), active))


@pytest.fixture
def pin(tmp_path):
    path = tmp_path / "gpio12"
    path.write_text("0\n")
    return path


def level(path) -> str:
    return path.read_text().strip()


def part(name: str = "7", *, ago_ms: float = 0.0) -> Part:
    return Part("left", "anomalous", name, "", time.perf_counter_ns() - round(ago_ms * 1e6))


@pytest.fixture
def opened(request):
    """Return a function that starts an output, which is closed after the test."""

    def start(medium, **rules) -> Output:
        output = Output("ejector", "pin", medium, Rules(**{"pulse_ms": 40.0, **rules}))
        request.addfinalizer(output.close)
        return output

    return start


def test_it_acts_at_its_time_for_as_long_as_a_pulse(pin, opened):
    medium = Recorded(pin)
    output = opened(medium, delay_ms=150.0)
    output.feed()
    one = part()
    output.offer(one)
    wait_for(lambda: [active for _, active in medium.changes][-2:] == [True, False], "it pulses")
    (set_ns, _), (released_ns, _) = medium.changes[-2:]
    assert 150 <= (set_ns - one.since_ns) / 1e6 < 250
    assert (released_ns - set_ns) / 1e6 >= 39
    status = output.status()
    assert (status.rejected, status.late, status.waiting) == (1, 0, 0)
    assert status.delay_p50_ms == pytest.approx((set_ns - one.since_ns) / 1e6, abs=5)


def test_parts_act_in_the_order_of_their_times_and_not_of_their_verdicts(pin, opened):
    class Named(Recorded):
        def reject(self, part):
            super().reject(part)
            names.append(part.name)

    names: list[str] = []
    output = opened(Named(pin), delay_ms=200.0)
    output.offer(part("second"))
    output.offer(part("first", ago_ms=100))
    wait_for(lambda: len(names) == 2, "both are rejected")
    assert names == ["first", "second"]


def test_a_verdict_that_is_too_late_acts_at_once_and_is_counted(pin, opened, caplog):
    output = opened(Recorded(pin), delay_ms=100.0)
    output.feed()
    output.offer(part(ago_ms=300))
    wait_for(lambda: output.status().rejected == 1, "it acts at once")
    assert output.status().late == 1
    assert "output ejector was late: camera left, anomalous, part 7 by 2" in caplog.text


def test_a_part_that_has_long_passed_is_not_acted_on_and_counts_as_not_rejected(pin, opened):
    medium = Recorded(pin)
    output = opened(medium, delay_ms=50.0, give_up_ms=200.0)
    output.feed()
    wait_for(lambda: not output.status().safe, "it acts")
    output.offer(part(ago_ms=400.0))
    assert output.status().failed == 1
    assert output.status().waiting == 0
    assert not any(active for _, active in medium.changes)


def test_without_a_delay_nothing_is_late(pin, opened):
    output = opened(Recorded(pin))
    output.offer(part(ago_ms=300))
    wait_for(lambda: output.status().rejected == 1, "it acts")
    assert output.status().late == 0


def test_the_level_may_be_low_to_reject(pin, opened):
    output = opened(Recorded(pin, active_high=False), pulse_ms=400.0)
    wait_for(lambda: level(pin) == "1", "it rests high")
    output.offer(part())
    wait_for(lambda: level(pin) == "0", "it rejects low")


def test_it_is_safe_until_it_is_fed_and_when_it_is_fed_no_more(pin, opened, caplog):
    output = opened(Recorded(pin), safe_rejects=True, unfed_ms=150.0)
    wait_for(lambda: level(pin) == "1", "everything is rejected before inspection begins")
    assert output.status().safe == "inspection has not begun"
    output.feed()
    wait_for(lambda: level(pin) == "0", "it acts")
    wait_for(lambda: level(pin) == "1", "nobody feeds it")
    assert output.status().safe == "the station's loop hangs"
    output.rest("inspection is paused")
    assert output.status().safe == "inspection is paused"
    assert "output ejector is in its safe state: the station's loop hangs" in caplog.text


def test_it_ends_in_the_safe_state_after_what_was_on_its_way(pin):
    medium = Recorded(pin)
    output = Output("ejector", "pin", medium, Rules(delay_ms=200.0, pulse_ms=30.0, safe_rejects=True))
    output.feed()
    output.offer(part())
    output.close()
    assert output.status().rejected == 1
    assert level(pin) == "1"


def test_what_is_too_far_away_when_it_ends_is_counted_as_not_rejected(pin, caplog):
    output = Output("ejector", "pin", Recorded(pin), Rules(delay_ms=60_000.0))
    output.offer(part())
    output.close(timeout_s=0.1)
    assert output.status().dropped == 1
    assert "the station stopped before the time of 1 parts had come" in caplog.text
    assert level(pin) == "0"


def test_too_many_parts_are_dropped_counted_and_make_it_safe(pin, opened, monkeypatch, caplog):
    monkeypatch.setattr("ganspect.runtime.outputs.output._WAITING", 3)
    output = opened(Recorded(pin), delay_ms=300.0, safe_rejects=True)
    output.feed()
    for _ in range(5):
        output.offer(part())
    assert output.status().dropped == 2
    assert output.status().safe == "more parts are to be rejected than it can take"
    assert "output ejector did not reject, and the part must count as not inspected: too many wait" in caplog.text
    wait_for(lambda: output.status().rejected == 3, "the others are rejected")
    wait_for(lambda: output.status().safe == "", "it has room again")


def test_a_pin_that_is_not_there_is_tried_for_ever_and_what_it_missed_is_counted(pin, opened, caplog):
    caplog.set_level("INFO", "ganspect.station")
    pin.unlink()
    output = opened(Recorded(pin), give_up_ms=100.0)
    output.feed()
    output.offer(part("early"))
    wait_for(lambda: output.status().failed == 1, "it is given up")
    assert "did not reject, and the part must count as not inspected: camera left, anomalous, part early" in caplog.text
    assert not output.status().connected
    assert "No such file" in output.status().error
    assert "output ejector acts" not in caplog.text, "it is fed, and cannot"
    pin.write_text("0")
    wait_for(lambda: output.status().connected, "it is there")
    output.offer(part())
    wait_for(lambda: output.status().rejected == 1, "it acts again")
    assert "output ejector works again" in caplog.text

    def acts() -> bool:
        output.feed()
        return "output ejector acts" in caplog.text

    wait_for(acts, "it is said")


def test_a_pin_can_beat_for_a_watchdog_relay(pin, tmp_path, opened):
    beating = tmp_path / "gpio13"
    beating.write_text("0")
    medium = Pin(FileLevel(pin), active_high=True, heartbeat=FileLevel(beating))
    output = opened(medium, heartbeat_ms=20.0, unfed_ms=300.0)
    output.feed()
    for expected in "1010":
        wait_for(lambda wanted=expected: level(beating) == wanted, "it beats")
    wait_for(lambda: output.status().safe, "nobody feeds it")
    wait_for(lambda: output._told != "", "its thread has seen that")
    beats = output.status().beats
    output.close()
    assert output.status().beats == beats
