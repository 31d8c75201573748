"""A reject output that is a message to an MQTT broker, acknowledged by it.

mosquitto_sub -v -t 'ganspect/line3/#'
"""

import contextlib
import json

from ganspect.runtime.broker.connection import Connection
from ganspect.runtime.broker.settings import Broker
from ganspect.runtime.outputs.medium import Medium, Part


class MqttReject(Medium):
    """Publishes a message for each part, and a heartbeat whose last will is `offline`."""

    has_level = False

    def __init__(self, broker: Broker, *, topic: str, heartbeat_topic: str) -> None:
        """Prepare; nothing is connected yet.

        Args:
            broker: where to.
            topic: of parts; `{camera}` stands for the camera's name.
            heartbeat_topic: of the heartbeat.
        """
        self._topic = topic
        self._heartbeat_topic = heartbeat_topic
        self._connection = Connection(broker, will=(heartbeat_topic, b"offline"))

    def connect(self) -> None:
        """Connect anew.

        Raises:
            ConnectionError: the broker is not there, or refuses the station.
        """
        self._connection.disconnect()
        self._connection.connect()

    def reject(self, part: Part) -> None:
        """Publish camera, verdict, the part's name and the verdict's id, as JSON."""
        content = {"camera": part.camera, "verdict": part.verdict, "part": part.name, "id": part.uid}
        self._connection.publish(self._topic.replace("{camera}", part.camera), json.dumps(content).encode())

    def set_level(self, active: bool) -> None:
        """Do nothing: a message has no level."""

    def beat(self, count: int) -> None:
        """Publish the count."""
        self._connection.publish(self._heartbeat_topic, str(count).encode(), retain=True)

    def say_safe(self) -> None:
        """Say that nobody inspects."""
        self._connection.publish(self._heartbeat_topic, b"safe", retain=True)

    def close(self) -> None:
        """Say that the station is gone, and hang up."""
        if self._connection.is_connected:
            with contextlib.suppress(ConnectionError, RuntimeError, ValueError):  # it was lost in between
                self._connection.publish(self._heartbeat_topic, b"offline", retain=True)
        self._connection.disconnect()
