import threading
import time
from pathlib import Path

import pytest
from paho.mqtt.publish import single
from station_rig.receivers import NO_BROKER, Broker

from ganspect.errors import ConfigError, MissingDependencyError, SourceError
from ganspect.runtime.capture.buffers import Bell, TriggerBuffer
from ganspect.runtime.capture.triggers.pin import Debounced
from ganspect.runtime.capture.triggers.selection import open_trigger
from ganspect.runtime.capture.triggers.settings import MqttTriggerSettings, PinTriggerSettings
from ganspect.runtime.pins import ChipLine, read_pin
from tests.runtime.waiting import wait_for

MS = 1_000_000


@pytest.fixture
def buffer():
    return TriggerBuffer(Bell(), wait_s=60)


@pytest.fixture
def opened(request, buffer):
    """Return a function that starts a trigger, which is stopped after the test."""

    def start(settings):
        trigger = open_trigger(settings, camera="left", station="line3", give=buffer.signal)
        request.addfinalizer(trigger.stop)
        trigger.start()
        return trigger

    return start


def names(buffer) -> list[str]:
    return [signal.name for signal in buffer._signals]


@pytest.mark.skipif(bool(NO_BROKER), reason=NO_BROKER)
class TestMqtt:
    @pytest.fixture
    def broker(self, tmp_path):
        running = Broker(tmp_path)
        yield running
        running.stop()

    def say(self, broker, payload, **more):
        single("ganspect/line3/left/trigger", payload, qos=1, port=broker.port, hostname="127.0.0.1", **more)

    def test_a_message_is_a_signal_with_the_name_of_the_part(self, broker, buffer, opened):
        trigger = opened(MqttTriggerSettings(kind="mqtt", host="127.0.0.1", port=broker.port))
        wait_for(lambda: trigger.status().connected, "it listens")
        for payload in (b"part 7", b"", b"\xff\x00x", b"a" * 5000):
            self.say(broker, payload)
        wait_for(lambda: trigger.status().signals == 4, "the signals come")
        assert names(buffer) == ["part 7", "", "�?x", "a" * 128]

    def test_what_a_broker_retained_is_no_signal(self, broker, buffer, opened):
        self.say(broker, b"old", retain=True)
        trigger = opened(MqttTriggerSettings(kind="mqtt", host="127.0.0.1", port=broker.port))
        wait_for(lambda: trigger.status().ignored == 1, "it comes")
        assert names(buffer) == []

    def test_it_connects_again_and_hears_nothing_of_the_meantime(self, broker, buffer, opened, caplog):
        trigger = opened(MqttTriggerSettings(kind="mqtt", host="127.0.0.1", port=broker.port))
        wait_for(lambda: trigger.status().connected, "it listens")
        broker.stop()
        wait_for(lambda: not trigger.status().connected, "it notices")
        assert f"the connection to 127.0.0.1:{broker.port} was lost" in caplog.text
        broker.start()
        wait_for(lambda: trigger.status().connected, "it listens again")
        self.say(broker, b"next")
        wait_for(lambda: names(buffer) == ["next"], "the next signal comes")

    def test_a_broker_that_comes_later_is_found(self, broker, buffer, opened):
        broker.stop()
        trigger = opened(MqttTriggerSettings(kind="mqtt", host="127.0.0.1", port=broker.port))
        wait_for(lambda: "cannot be reached" in trigger.status().error, "nobody is there")
        broker.start()
        wait_for(lambda: trigger.status().connected, "it listens")

    def test_a_wrong_password(self, tmp_path, opened, monkeypatch):
        monkeypatch.setenv("LINE_PASSWORD", "wrong-one")
        broker = Broker(tmp_path, users={"station": "right"})
        try:
            trigger = opened(
                MqttTriggerSettings(
                    kind="mqtt", host="127.0.0.1", port=broker.port, username="station", password_env="LINE_PASSWORD"
                )
            )
            wait_for(lambda: "does not let the station in: Not authorized" in trigger.status().error, "it is refused")
        finally:
            broker.stop()


def test_a_password_that_is_not_set(opened):
    with pytest.raises(ConfigError, match="the environment variable NOT_SET is not set"):
        opened(MqttTriggerSettings(kind="mqtt", host="h", username="u", password_env="NOT_SET"))


class File:
    """A pin's file that a driver writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"0\n")

    def set(self, level: int) -> int:
        with self.path.open("r+b", buffering=0) as file:
            file.write(b"1" if level else b"0")
        return time.perf_counter_ns()


@pytest.fixture
def pin(tmp_path):
    return File(tmp_path / "value")


def pin_settings(pin, **more) -> PinTriggerSettings:
    return PinTriggerSettings(kind="pin", pin=str(pin.path), **{"poll_ms": 1, "debounce_ms": 3, **more})


def pulsed(pin, trigger, times: int) -> None:
    """Change the level as often, each time for longer than it could bounce."""
    settled = threading.Event()
    for number in range(times):
        pin.set((number + 1) % 2)
        settled.wait(0.03)


@pytest.mark.parametrize(("edge", "expected"), [("rising", 2), ("falling", 1), ("both", 3)])
def test_edges_of_a_pin_are_signals(pin, buffer, opened, edge, expected):
    trigger = opened(pin_settings(pin, edge=edge))
    wait_for(lambda: trigger.status().connected, "it is watched")
    pulsed(pin, trigger, 3)
    wait_for(lambda: trigger.status().signals >= expected, "they are seen")
    assert trigger.status().signals == expected == len(buffer._signals)


def test_the_signal_is_as_old_as_its_edge(pin, buffer, opened):
    trigger = opened(pin_settings(pin, debounce_ms=100))
    wait_for(lambda: trigger.status().connected, "it is watched")
    edge_ns = pin.set(1)
    wait_for(lambda: buffer._signals, "it is seen")
    assert buffer._signals[0].given_ns - edge_ns < 90 * MS < time.perf_counter_ns() - edge_ns


def test_a_pin_that_fails_is_watched_again(pin, opened, caplog):
    trigger = opened(pin_settings(pin))
    wait_for(lambda: trigger.status().connected, "it is watched")
    pin.path.unlink()
    wait_for(lambda: not trigger.status().connected, "it is gone")
    pin.path.write_bytes(b"x")
    wait_for(lambda: "holds 'x' where 0 or 1 was expected" in trigger.status().error, "it holds no level")
    pin.path.write_bytes(b"0")
    wait_for(lambda: trigger.status().connected, "it is there again")
    assert "its trigger is away, parts pass without a signal" in caplog.text
    assert "its trigger is there again" in caplog.text


def test_a_pin_that_is_not_there(tmp_path, opened):
    with pytest.raises(SourceError, match=r"cannot read its pin: .*No such file.*; export the pin, or correct"):
        opened(PinTriggerSettings(kind="pin", pin=str(tmp_path / "none")))


def test_a_chip_that_is_not_there(opened):
    pytest.importorskip("gpiod")
    with pytest.raises(SourceError, match=r"cannot use line 3 of /dev/gpiochip99: .*; gpioinfo shows what is there"):
        opened(PinTriggerSettings(kind="pin", pin="/dev/gpiochip99:3"))


def test_gpiod_that_is_not_there(opened, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gpiod", None)
    monkeypatch.delitem(__import__("sys").modules, "ganspect.runtime.capture.triggers.gpio", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ganspect\[gpio\]'"):
        opened(PinTriggerSettings(kind="pin", pin="/dev/gpiochip0:3"))


def test_names_of_pins():
    assert read_pin("/dev/gpiochip0:12") == read_pin("gpiochip0:12") == ChipLine(Path("/dev/gpiochip0"), 12)
    assert read_pin("/sys/class/gpio/gpio12/value") == Path("/sys/class/gpio/gpio12/value")


def test_a_bounce_is_no_edge_and_an_edge_is_as_old_as_its_beginning():
    edges = Debounced("rising", 5 * MS)
    seen = [edges.see(level, at * MS) for at, level in [(0, False), (1, True), (3, False), (4, True), (8, True)]]
    assert seen == [None] * 5
    assert edges.see(True, 9 * MS) == 4 * MS
    assert edges.see(True, 20 * MS) is None


def test_a_level_that_was_there_from_the_start_is_no_edge():
    assert Debounced("both", 0).see(True, 0) is None
