"""A connection to an MQTT broker on which every message is acknowledged, or an error says that it was not.

connection = Connection(Broker("broker.plant", client_id="line3"), will=("line3/heartbeat", b"offline"))
connection.connect()
connection.publish("line3/reject", b"part 7")
"""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ganspect.runtime.broker.settings import Broker

KEEP_ALIVE_S = 15


def new_client(broker: Broker) -> Client:
    """Return a client that is not connected yet, with a session that the broker forgets when it goes."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=broker.client_id, clean_session=True)
    client.connect_timeout = broker.timeout_s
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(ssl.create_default_context())
    return client


class Connection:
    """Publishes with QoS 1; connected when asked to, and again when that was lost."""

    def __init__(
        self,
        broker: Broker,
        *,
        will: tuple[str, bytes],
        on_connect: Callable[[Client], None] = lambda client: None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            broker: where to.
            will: topic and payload that the broker publishes, retained, when this connection is lost.
            on_connect: called when it stands, from the network's thread.
        """
        self._broker = broker
        self._will = will
        self._greet = on_connect
        self._client: Client | None = None
        self._connected = threading.Event()
        self._refusal = ""

    @property
    def is_connected(self) -> bool:
        """Return whether it stands, as far as is known."""
        return self._client is not None and self._connected.is_set()

    def connect(self) -> Client:
        """Return a client that is connected, connecting it if that is not so.

        Raises:
            ConnectionError: the broker is not there, or refuses the station.
        """
        if self._client is not None and self._connected.is_set():
            return self._client
        self.disconnect()
        broker = self._broker
        client = new_client(broker)
        client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        self._client, self._refusal = client, ""
        try:
            client.connect(broker.host, broker.port, keepalive=KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            self._client = None
            raise ConnectionError(f"{broker.host}:{broker.port} cannot be reached: {error}") from error
        client.loop_start()
        if not self._connected.wait(broker.timeout_s):
            refusal = self._refusal or f"no answer within {broker.timeout_s:g} s"
            self.disconnect()
            raise ConnectionError(f"{broker.host}:{broker.port} does not let the station in: {refusal}")
        return client

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish a message and wait until the broker has acknowledged it.

        Raises:
            ConnectionError: the broker is not there, refuses the station, or does not acknowledge in time.
        """
        self.wait_for([self.connect().publish(topic, payload, qos=1, retain=retain)])

    def wait_for(self, sent: Sequence[MQTTMessageInfo]) -> None:
        """Wait until the broker has acknowledged messages.

        Raises:
            ConnectionError: it has not, in time; the connection is given up.
        """
        end_s = time.monotonic() + self._broker.timeout_s
        for message in sent:
            if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self.disconnect()
                raise ConnectionError(f"the connection to {self._broker.host} was lost")
            message.wait_for_publish(max(0.01, end_s - time.monotonic()))
            if not message.is_published():
                self.disconnect()
                raise ConnectionError(f"{self._broker.host} did not acknowledge within {self._broker.timeout_s:g} s")

    def disconnect(self) -> None:
        """Hang up."""
        client, self._client = self._client, None
        self._connected.clear()
        if client is not None:
            client.on_connect = client.on_disconnect = None
            client.disconnect()
            client.loop_stop()

    def _on_connect(self, client: Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
            return
        self._greet(client)
        self._connected.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._connected.clear()
