"""Verdicts to an MQTT broker with QoS 1; the broker's acknowledgement is waited for.

Mqtt(Broker("broker"), topic="plant/line3/{camera}").send(owed)

`TOPIC/status`, retained, is `online` while the station runs and `offline` when it stops, crashes, or loses the network.
"""

import contextlib
from collections.abc import Sequence

from paho.mqtt.client import Client

from ganspect.runtime.broker.connection import Connection
from ganspect.runtime.broker.settings import Broker
from ganspect.runtime.sinks.forwarder import Owed


class Mqtt:
    """Publishes verdicts; connects when there is something to send, and again when that was lost."""

    def __init__(
        self, broker: Broker, *, topic: str = "ganspect/{camera}/verdict", status_topic: str = "ganspect/status"
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            broker: where to; its `timeout_s` is also for the acknowledgement of a whole batch.
            topic: of verdicts; `{camera}` stands for the camera's name.
            status_topic: of the station's being there.
        """
        self._topic = topic
        self._status_topic = status_topic
        # Its session ends with the connection: the history is the queue, and a second one would only repeat it.
        self._connection = Connection(broker, will=(status_topic, b"offline"), on_connect=self._say_online)

    def send(self, owed: Sequence[Owed]) -> None:
        """Publish a batch and wait until the broker has acknowledged all of it.

        Raises:
            ConnectionError: the broker is not there, refuses the station, or does not acknowledge in time.
        """
        client = self._connection.connect()
        sent = [client.publish(self._topic_of(one), one.line.encode(), qos=1) for one in owed]
        self._connection.wait_for(sent)

    def stay_connected(self) -> None:
        """Connect if that is not so: who looks at the status sees the station also while nothing is to be sent.

        Raises:
            ConnectionError: the broker is not there, or refuses the station.
        """
        self._connection.connect()

    def close(self) -> None:
        """Say that the station is gone, and hang up."""
        if self._connection.is_connected:
            with contextlib.suppress(ConnectionError, RuntimeError, ValueError):  # it was lost in between
                self._connection.publish(self._status_topic, b"offline", retain=True)
        self._connection.disconnect()

    def _topic_of(self, one: Owed) -> str:
        return self._topic.replace("{camera}", one.camera)

    def _say_online(self, client: Client) -> None:
        client.publish(self._status_topic, b"online", qos=1, retain=True)
