import json
import threading
import time

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from station_rig.receivers import NO_BROKER, Broker

from ganspect.runtime.broker.settings import Broker as BrokerAddress
from ganspect.runtime.capture.backoff import Backoff
from ganspect.runtime.history import History
from ganspect.runtime.sinks.forwarder import Forwarder
from ganspect.runtime.sinks.mqtt import Mqtt
from tests.runtime.history.entries import entry
from tests.runtime.sinks.owed import owed

pytestmark = pytest.mark.skipif(bool(NO_BROKER), reason=NO_BROKER)


@pytest.fixture
def broker(tmp_path):
    running = Broker(tmp_path)
    yield running
    running.stop()


class Listener:
    """Subscribes to everything, and connects again by itself."""

    def __init__(self, port: int, **login: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        if login:
            self._client.username_pw_set(**login)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = lambda _, __, message: self.messages.append((message.topic, message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait()

    def wait(self) -> None:
        """Wait until it is subscribed, again perhaps."""
        assert self._subscribed.wait(20)

    def sequences(self) -> list[int]:
        return [json.loads(payload)["sequence"] for topic, payload in self.messages if topic.endswith("/verdict")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listener(broker):
    listening = Listener(broker.port)
    yield listening
    listening.close()


def wait_for(condition, what):
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


def test_verdicts_arrive_by_camera_and_the_station_shows_whether_it_is_there(broker, listener):
    mqtt = Mqtt(BrokerAddress("127.0.0.1", broker.port, timeout_s=5), topic="plant/{camera}/verdict")
    mqtt.send(owed(*range(100), camera="upper"))
    wait_for(lambda: listener.sequences() == list(range(100)), "all arrive")
    assert {topic for topic, _ in listener.messages} == {"ganspect/status", "plant/upper/verdict"}
    mqtt.close()
    wait_for(lambda: listener.messages[-1] == ("ganspect/status", b"offline"), "it says good-bye")


def test_nothing_is_lost_while_the_broker_is_away(broker, listener, tmp_path):
    with History.open(tmp_path / "history.sqlite") as history:
        mqtt = Mqtt(BrokerAddress("127.0.0.1", broker.port, timeout_s=2))
        forwarder = Forwarder("mqtt", history, mqtt.send, backoff=Backoff(0.05, 0.2))
        for number in range(60):
            if number == 20:
                broker.stop()
            if number == 40:
                wait_for(lambda: forwarder.status().failures > 0, "it notices that the broker is away")
                assert forwarder.status().owed > 0
                broker.start()
            history.append([entry(number)])
            forwarder.notify()
        wait_for(lambda: forwarder.status().owed == 0, "the broker has acknowledged all")
        assert forwarder.status().delivered == 60
        # This broker keeps nothing on disk, so the listener has missed what came before it was there again itself.
        listener.wait()
        history.append([entry(number) for number in range(60, 70)])
        forwarder.notify()
        wait_for(lambda: set(listener.sequences()) >= set(range(60, 70)), "they arrive")
        forwarder.close()
        mqtt.close()
    first_seen = list(dict.fromkeys(listener.sequences()))
    assert first_seen == sorted(first_seen)


def test_the_station_is_seen_while_there_is_nothing_to_send(broker, listener, tmp_path):
    with History.open(tmp_path / "history.sqlite") as history:
        mqtt = Mqtt(BrokerAddress("127.0.0.1", broker.port, timeout_s=5))
        forwarder = Forwarder("mqtt", history, mqtt.send, idle=mqtt.stay_connected)
        wait_for(lambda: ("ganspect/status", b"online") in listener.messages, "it is online")
        forwarder.close()
        mqtt.close()


def test_no_broker_is_an_error(tmp_path):
    broker = Broker(tmp_path)
    broker.stop()
    with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{broker.port} cannot be reached"):
        Mqtt(BrokerAddress("127.0.0.1", broker.port, timeout_s=2)).send(owed(*range(1)))


def test_a_wrong_password_is_an_error_and_the_right_one_is_let_in(tmp_path):
    broker = Broker(tmp_path, users={"station": "right"})
    try:
        wrong = BrokerAddress("127.0.0.1", broker.port, username="station", password="wrong", timeout_s=2)
        with pytest.raises(ConnectionError, match="does not let the station in: Not authorized"):
            Mqtt(wrong).send(owed(*range(1)))
        mqtt = Mqtt(BrokerAddress("127.0.0.1", broker.port, username="station", password="right", timeout_s=5))
        mqtt.send(owed(*range(1)))
        mqtt.close()
    finally:
        broker.stop()
