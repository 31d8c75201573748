"""Signals from an MQTT broker.

mosquitto_pub -q 1 -t ganspect/line3/left/trigger -m 'part 7'

The session ends with the connection, on purpose: a broker that kept signals for a station that was away would deliver
them when their parts have long passed, and each would take the frame of another part.
"""

from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from ganspect.runtime.broker.connection import KEEP_ALIVE_S, new_client
from ganspect.runtime.broker.settings import Broker
from ganspect.runtime.capture.triggers.trigger import MOST_SIGNS, Give, Trigger

_RECONNECT_S = (1, 5)
_MOST_BYTES = 4 * MOST_SIGNS


class MqttTrigger(Trigger):
    """Subscribes to a topic; connects again for ever."""

    kind = "mqtt"

    def __init__(self, camera: str, give: Give, broker: Broker, topic: str) -> None:
        """Prepare; nothing is connected before `start`.

        Args:
            camera: that the signals are of.
            give: takes them.
            broker: where they come from.
            topic: on which they come.
        """
        super().__init__(camera, give)
        self._error = None
        self._topic = topic
        self._broker = broker
        self._client = new_client(broker)
        self._client.reconnect_delay_set(*_RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._is_away(f"{self._where} cannot be reached")
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in a thread of the client's, as often as it takes."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=KEEP_ALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Hang up."""
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def _where(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _on_connect(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._is_away(f"{self._where} does not let the station in: {reason}")
            return
        client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, _: Any, __: Any, ___: Any, reasons: list[Any], ____: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._is_away(f"{self._where} does not let the station subscribe to {self._topic}")
        else:
            self._is_connected()

    def _on_disconnect(self, *_: Any) -> None:
        if not self._error:  # after a refusal, which says more
            self._is_away(f"the connection to {self._where} was lost")

    def _on_message(self, _: Any, __: Any, message: MQTTMessage) -> None:
        if message.retain:  # of some time in the past; its part is gone
            self._ignore()
            return
        self.signal(message.payload[:_MOST_BYTES].decode(errors="replace"))
