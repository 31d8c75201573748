"""The relay that tells a broker's losses from the station's."""

import json
import threading

import pytest
from station_rig.mqtt_tap import MqttTap, _packets
from station_rig.receivers import NO_BROKER, Broker

from ganspect.runtime.broker.settings import Broker as BrokerAddress
from ganspect.runtime.sinks.mqtt import Mqtt
from tests.runtime.sinks.owed import owed


def test_packets_are_cut_where_they_end_however_they_come():
    short, long = bytes([0x40, 2, 0, 7]), bytes([0x32, 0x80, 0x01]) + b"x" * 128
    assert list(_packets(short + long)) == [short, long]
    for end in range(len(short), len(short + long)):
        assert list(_packets((short + long)[:end])) == [short]
    assert list(_packets(b"")) == list(_packets(b"\x40")) == []


@pytest.mark.skipif(bool(NO_BROKER), reason=NO_BROKER)
def test_what_the_broker_has_acknowledged_is_noted_and_nothing_else(tmp_path):
    broker, noted = Broker(tmp_path), []
    try:
        with MqttTap(broker.port, noted.append) as tap:
            sink = Mqtt(BrokerAddress("127.0.0.1", tap.port, timeout_s=2))
            given = owed(*range(30))
            sink.send(given)
            assert [json.loads(body)["id"] for body in noted] == [one.uid for one in given]
            broker.stop()
            tap.close()
            with pytest.raises(ConnectionError):
                sink.send(owed(*range(30, 40)))
            assert len(noted) == 30
            broker.start()
            tap.open()
            sink.send(owed(*range(30, 40)))
            assert len(noted) == 40
            sink.close()
    finally:
        broker.stop()
    assert threading.active_count() < 20
