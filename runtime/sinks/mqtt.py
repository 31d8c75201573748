"""Verdicts to an MQTT broker with QoS 1; the broker's acknowledgement is waited for.

Mqtt(MqttTarget("broker", topic="plant/line3/{camera}")).send(owed)

`TOPIC/status`, retained, is `online` while the station runs and `offline` when it stops, crashes, or loses the network.
"""

import contextlib
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ganspect.runtime.sinks.forwarder import Owed

_KEEP_ALIVE_S = 15


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
        self._client: Client | None = None
        self._connected = threading.Event()
        self._refusal = ""

    def send(self, owed: Sequence[Owed]) -> None:
        """Publish a batch and wait until the broker has acknowledged all of it.

        Raises:
            ConnectionError: the broker is not there, refuses the station, or does not acknowledge in time.
        """
        client = self._connect()
        end_s = time.monotonic() + self._target.timeout_s
        sent = [client.publish(self._topic(one), one.line.encode(), qos=1) for one in owed]
        for message in sent:
            if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._disconnect()
                raise ConnectionError(f"the connection to {self._target.host} was lost")
            message.wait_for_publish(max(0.01, end_s - time.monotonic()))
            if not message.is_published():
                self._disconnect()
                raise ConnectionError(f"{self._target.host} did not acknowledge within {self._target.timeout_s:g} s")

    def stay_connected(self) -> None:
        """Connect if that is not so: who looks at the status sees the station also while nothing is to be sent.

        Raises:
            ConnectionError: the broker is not there, or refuses the station.
        """
        self._connect()

    def close(self) -> None:
        """Say that the station is gone, and hang up."""
        client = self._client
        if client is not None and self._connected.is_set():
            with contextlib.suppress(RuntimeError, ValueError):  # the connection was lost in between
                client.publish(self._target.status_topic, b"offline", qos=1, retain=True).wait_for_publish(2.0)
        self._disconnect()

    def _topic(self, one: Owed) -> str:
        return self._target.topic.replace("{camera}", one.camera)

    def _connect(self) -> Client:
        if self._client is not None and self._connected.is_set():
            return self._client
        self._disconnect()
        target = self._target
        # A clean session: the history is the queue, and a second one in the broker's client would only repeat it.
        client = Client(CallbackAPIVersion.VERSION2, client_id=target.client_id, clean_session=True)
        client.connect_timeout = target.timeout_s
        if target.username is not None:
            client.username_pw_set(target.username, target.password)
        if target.tls:
            client.tls_set_context(ssl.create_default_context())
        client.will_set(target.status_topic, b"offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        self._client, self._refusal = client, ""
        try:
            client.connect(target.host, target.port, keepalive=_KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            self._client = None
            raise ConnectionError(f"{target.host}:{target.port} cannot be reached: {error}") from error
        client.loop_start()
        if not self._connected.wait(target.timeout_s):
            refusal = self._refusal or f"no answer within {target.timeout_s:g} s"
            self._disconnect()
            raise ConnectionError(f"{target.host}:{target.port} does not let the station in: {refusal}")
        return client

    def _disconnect(self) -> None:
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
        client.publish(self._target.status_topic, b"online", qos=1, retain=True)
        self._connected.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._connected.clear()
