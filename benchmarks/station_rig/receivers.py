"""A real web server that answers as it is told, a real MQTT broker, and a subscriber.

with web_server(500) as server: ...       # 500 to the first request, 200 to the others
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from station_rig.needed import needed, wait_for
from station_rig.ports import lasting_port

BROKER = shutil.which("mosquitto") or ("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else None)
NO_BROKER = "" if BROKER else "no MQTT broker here; on Debian: apt-get install mosquitto"
Answer = int | Literal["hang", "close"]


class WebServer(ThreadingHTTPServer):
    """Takes verdicts.

    Attributes:
        answers: what the next requests get; "hang": nothing, "close": a closed connection.
        otherwise: what requests get when there are none of these.
        requests: answer, record and headers of those that got an answer.
        heard: called with the body of each verdict that it will not forget: those it said 200 to, and those after
            which it hung, as a server does that is slow to answer and not to act.
        released: ends the waits of those that hang.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *answers: Answer) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = list(answers)
        self.otherwise: Answer = 200
        self.requests: list[tuple[Answer, dict[str, Any], dict[str, str]]] = []
        self.heard: Callable[[bytes], None] = lambda body: None
        self.released = threading.Event()
        self.url = f"http://user:hunter2@127.0.0.1:{self.server_port}/verdicts?key=hunter2"

    def hang(self) -> None:
        """Answer nothing from now on."""
        self.released.clear()
        self.otherwise = "hang"

    def get_well(self) -> None:
        """Answer 200 from now on."""
        self.otherwise = 200
        self.released.set()


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = server.answers.pop(0) if server.answers else server.otherwise
        if answer in (200, "hang"):
            server.heard(body)
        if answer == "hang":
            server.released.wait(20)
            return
        if answer == "close":
            self.connection.close()
            return
        server.requests.append((answer, json.loads(body), dict(self.headers)))
        self.send_response(int(answer))
        if answer in (301, 302):
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_server(*answers: Answer) -> Iterator[WebServer]:
    """Yield a server that gives these answers and then 200; `requests` has what came, with the answer it got."""
    server = WebServer(*answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(2)


class Broker:
    """A broker that can be stopped and started again at the same port."""

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None, remembers: bool = False) -> None:
        """Start it.

        Args:
            folder: for its files.
            users: names and passwords; None: everybody may come in.
            remembers: whether what `save` wrote is there again after a stop.
        """
        self.port = lasting_port()
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if users else 'true'}", "user root"]
        if users:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            for user, password in users.items():
                subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True)
            lines.append(f"password_file {passwords}")
        if remembers:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 0"]
            lines += ["max_queued_messages 0"]
        self._kept = folder / "mosquitto.db"
        self._settings = folder / "mosquitto.conf"
        self._settings.write_text("\n".join(lines) + "\n")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [needed(BROKER, "mosquitto"), "-c", str(self._settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._listens, "the broker starts")

    def save(self) -> None:
        """Let it write who has subscribed, and wait until that is there."""
        self._process.send_signal(signal.SIGUSR1)
        wait_for(self._kept.exists, "the broker saves")

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Subscriber:
    """Hears what a broker passes on; comes back by itself when the broker does.

    Its session outlives the broker (see `Broker.save`), so that what the broker takes before its return is passed on.
    """

    def __init__(self, port: int, heard: Callable[[bytes], None], topic: str = "ganspect/+/+/verdict") -> None:
        """Connect, subscribe, and wait until the broker has agreed."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.connected = threading.Event()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"rig-{os.getpid()}", clean_session=False)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_message = lambda client, data, message: heard(bytes(message.payload))
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_connect = lambda *_: self.connected.set()
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        wait_for(self._subscribed.is_set, "the broker lets the subscriber in")

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
