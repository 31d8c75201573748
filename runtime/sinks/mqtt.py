"""Verdicts to an MQTT broker with QoS 1; the broker's acknowledgement is waited for.

Mqtt(MqttTarget("broker", topic="plant/line3/{camera}")).send(owed)

`TOPIC/status`, retained, is `online` while the station runs and `offline` when it stops, crashes, or loses the network.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from paho.mqtt.client import Client

from ganspect.runtime.broker.connection import Broker, Connection
from ganspect.runtime.sinks.forwarder import Owed


@dataclass(frozen=True)
class MqttTarget:
    """A broker, and where on it.

    Attributes:
        host: of the broker.
        port: of the broker.
        topic: of verdicts; `{camera}` stands for the camera's name.
        status_topic: of the station's being there.
        client_id: of the station; two stations must not share one.
        username: None: none.
        password: None: none.
        tls: whether the connection is encrypted, and the broker's certificate checked.
        timeout_s: for the connection, and for the acknowledgement of a batch.
    """

    host: str
    port: int = 1883
    topic: str = "ganspect/{camera}/verdict"
    status_topic: str = "ganspect/status"
    client_id: str = "ganspect"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    timeout_s: float = 10.0


class Mqtt:
    """Publishes verdicts; connects when there is something to send, and again when that was lost."""

    def __init__(self, target: MqttTarget) -> None:
        """Prepare; nothing is connected yet."""
        self._target = target
        broker = Broker(
            host=target.host,
            port=target.port,
            client_id=target.client_id,
            username=target.username,
            password=target.password,
            tls=target.tls,
            timeout_s=target.timeout_s,
        )
        # Its session ends with the connection: the history is the queue, and a second one would only repeat it.
        self._connection = Connection(broker, will=(target.status_topic, b"offline"), on_connect=self._say_online)

    def send(self, owed: Sequence[Owed]) -> None:
        """Publish a batch and wait until the broker has acknowledged all of it.

        Raises:
            ConnectionError: the broker is not there, refuses the station, or does not acknowledge in time.
        """
        client = self._connection.connect()
        self._connection.wait_for([client.publish(self._topic(one), one.line.encode(), qos=1) for one in owed])

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
                self._connection.publish(self._target.status_topic, b"offline", retain=True)
        self._connection.disconnect()

    def _topic(self, one: Owed) -> str:
        return self._target.topic.replace("{camera}", one.camera)

    def _say_online(self, client: Client) -> None:
        client.publish(self._target.status_topic, b"online", qos=1, retain=True)
