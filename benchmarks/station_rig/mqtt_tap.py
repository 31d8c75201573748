"""Stands between a station and its broker and notes, by the verdict's id, what the broker has acknowledged.

A broker that is killed forgets what it has acknowledged and not yet passed on: what a subscriber lacks may be the
broker's loss or the station's, and only the wire tells which. It listens only while the broker runs, so that the
station is refused as it would be by the broker itself.

with MqttTap(broker.port, log.hear) as tap:
    print(tap.port)       # where the station connects to
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from station_rig.ports import lasting_port, listening

_PUBLISH, _PUBACK = 3, 4
_READ = 1 << 16


class MqttTap:
    """A relay for MQTT 3.1.1.

    Attributes:
        port: where it listens.
    """

    def __init__(self, upstream: int, acknowledged: Callable[[bytes], None]) -> None:
        """Listen.

        Args:
            upstream: the broker's port.
            acknowledged: called with the payload of each message that the broker has acknowledged.
        """
        self.port = lasting_port()
        self._upstream = upstream
        self._acknowledged = acknowledged
        self._sockets: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Listen again: the broker is back."""
        self._listener = listening(self.port)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Hang up and refuse: the broker is gone."""
        sockets, self._sockets = self._sockets, []
        for one in [*sockets, *([self._listener] if self._listener else [])]:
            with contextlib.suppress(OSError):  # wakes whoever waits in it
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._listener = None

    def __enter__(self) -> "MqttTap":
        """Return the tap."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                station, _ = listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self._upstream), 5)
                except OSError:
                    station.close()
                    continue
                broker.settimeout(None)
                self._sockets += [station, broker]
                pending: dict[int, bytes] = {}
                for source, target, note in (
                    (station, broker, lambda packet, pending=pending: _note_publish(packet, pending)),
                    (broker, station, lambda packet, pending=pending: self._note_puback(packet, pending)),
                ):
                    threading.Thread(target=_relay, args=(source, target, note), daemon=True).start()

    def _note_puback(self, packet: bytes, pending: dict[int, bytes]) -> None:
        if packet[0] >> 4 == _PUBACK and (payload := pending.pop(int.from_bytes(packet[-2:], "big"), None)) is not None:
            self._acknowledged(payload)


def _note_publish(packet: bytes, pending: dict[int, bytes]) -> None:
    if packet[0] >> 4 != _PUBLISH or not packet[0] & 0b110:
        return
    start = _header_length(packet)
    topic = int.from_bytes(packet[start : start + 2], "big")
    identifier, payload = start + 2 + topic, start + 4 + topic
    if packet[start + 2 : identifier].endswith(b"/verdict"):  # the station's status is no verdict
        pending[int.from_bytes(packet[identifier:payload], "big")] = packet[payload:]


def _relay(source: socket.socket, target: socket.socket, note: Callable[[bytes], None]) -> None:
    """Pass bytes on until one side hangs up, and note the packets in them, each before it is passed on."""
    waiting = b""
    try:
        while received := source.recv(_READ):
            waiting += received
            for packet in (packets := list(_packets(waiting))):
                note(packet)
            waiting = waiting[sum(map(len, packets)) :]
            target.sendall(received)
    except OSError:
        pass  # one side was killed
    finally:
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _packets(content: bytes) -> Iterator[bytes]:
    """Yield the complete packets at the beginning of what was received."""
    while len(content) >= 2:
        length, shift, place = 0, 0, 1
        while place < len(content):
            length |= (content[place] & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if not content[place - 1] & 0x80:
                break
        else:
            return
        if len(content) < place + length:
            return
        yield content[: place + length]
        content = content[place + length :]


def _header_length(packet: bytes) -> int:
    place = 1
    while packet[place] & 0x80:
        place += 1
    return place + 1
