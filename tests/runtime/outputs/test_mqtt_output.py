import json
import time

import pytest
from station_rig.receivers import NO_BROKER, Broker

from ganspect.runtime.broker.settings import Broker as BrokerAddress
from ganspect.runtime.outputs.medium import Part
from ganspect.runtime.outputs.mqtt import MqttReject
from ganspect.runtime.outputs.output import Output, Rules
from tests.runtime.sinks.test_mqtt import Listener
from tests.runtime.waiting import wait_for

pytestmark = pytest.mark.skipif(bool(NO_BROKER), reason=NO_BROKER)


@pytest.fixture
def broker(tmp_path):
    running = Broker(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def listener(broker):
    listening = Listener(broker.port)
    yield listening
    listening.close()


def medium(broker) -> MqttReject:
    address = BrokerAddress("127.0.0.1", broker.port, client_id="output", timeout_s=2)
    return MqttReject(address, topic="line/{camera}/reject", heartbeat_topic="line/heartbeat")


def heard(listener, topic: str) -> list[bytes]:
    return [payload for name, payload in listener.messages if name == topic]


def test_a_part_is_a_message_and_the_heartbeat_says_how_it_is(broker, listener):
    output = Output("mqtt", "mqtt", medium(broker), Rules(heartbeat_ms=30.0, pulse_ms=0.0))
    wait_for(lambda: heard(listener, "line/heartbeat") == [b"safe"], "it is safe until it is fed")
    output.feed()
    wait_for(lambda: heard(listener, "line/heartbeat")[1:3] == [b"1", b"2"], "it beats")
    output.offer(Part("left", "undecided", "part 7", "3f2a", time.perf_counter_ns()))
    wait_for(lambda: heard(listener, "line/left/reject"), "it says so")
    message = json.loads(heard(listener, "line/left/reject")[0])
    assert message == {"camera": "left", "verdict": "undecided", "part": "part 7", "id": "3f2a"}
    output.close()
    wait_for(lambda: heard(listener, "line/heartbeat")[-2:] == [b"safe", b"offline"], "it says good-bye")


def test_the_broker_says_when_the_connection_is_lost(broker, listener):
    reject = medium(broker)
    reject.connect()
    reject.beat(1)
    reject._connection._client.socket().shutdown(2)  # as a crash, or a cable
    wait_for(lambda: heard(listener, "line/heartbeat") == [b"1", b"offline"], "its last will is carried out")
    reject.close()


def test_it_is_there_again_when_the_broker_is(broker, listener):
    output = Output("mqtt", "mqtt", medium(broker), Rules(heartbeat_ms=30.0, pulse_ms=0.0, unfed_ms=60_000.0))
    output.feed()
    wait_for(lambda: output.status().beats > 1, "it beats")
    broker.stop()
    wait_for(lambda: not output.status().connected, "it notices")
    beats = output.status().beats
    broker.start()
    wait_for(lambda: output.status().beats > beats, "it beats again")
    output.close()
