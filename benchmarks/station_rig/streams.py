"""Real servers of streams on loopback: RTSP by GStreamer, MJPEG by a few lines of HTTP that can be told to fail.

with MjpegServer({"small": pictures}) as server:
    print(server.url)
    server.cut()          # in the middle of the next picture
"""

import contextlib
import itertools
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganspect.opencv import cv2
from station_rig.needed import needed
from station_rig.ports import lasting_port

SYSTEM_PYTHON = "/usr/bin/python3"
_SERVER = Path(__file__).parent / "rtsp_server.py"
_HAS_SERVER = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def rtsp_is_missing() -> str:
    """Return why no RTSP server can run here, or an empty text."""
    packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", _HAS_SERVER], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    return "" if found else f"no RTSP server here; on Debian: apt-get install {packages}"


class RtspServer:
    """A server that can be killed and started again at the same port."""

    def __init__(self, script: Path = _SERVER, *arguments: str) -> None:
        """Start it.

        Args:
            script: takes the port and these arguments, and prints the port.
            arguments: what else it takes.
        """
        self._script = script
        self._arguments = arguments
        self._port = str(lasting_port())
        self.start()

    @property
    def url(self) -> str:
        """Return its address, with a login that must appear nowhere."""
        return f"rtsp://viewer:hunter2@127.0.0.1:{self._port}/camera"

    @property
    def pid(self) -> int:
        """Return its process."""
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [SYSTEM_PYTHON, str(self._script), self._port, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._port = needed(self._process.stdout, "the server's output").readline().strip()

    def change_size(self) -> None:
        """Let the picture become smaller, or large again, in mid-stream."""
        self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        needed(self._process.stdout, "the server's output").close()


class MjpegServer(ThreadingHTTPServer):
    """Sends pictures for ever, and fails in the ways that cameras fail."""

    daemon_threads = True

    def __init__(
        self,
        pictures: Mapping[str, Sequence[bytes]],
        *,
        frames_per_s: float = 50.0,
        count: int | None = None,
        then: Literal["close", "stall"] = "close",
    ) -> None:
        """Listen.

        Args:
            pictures: sets of JPEG files; the first set is shown, see `show`.
            frames_per_s: at most.
            count: pictures on each connection, before what `then` says; None: without end.
            then: close the connection, or say nothing more.
        """
        super().__init__(("127.0.0.1", 0), _Stream)
        self.pictures = pictures
        self.interval_s = 1 / frames_per_s
        self.count = count
        self.then = then
        self.showing = next(iter(pictures))
        self.cuts = 0
        self.ending, self.flowing = threading.Event(), threading.Event()
        self.flowing.set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return its address, with a login that must appear nowhere."""
        return f"http://viewer:hunter2@127.0.0.1:{self.server_port}/video"

    def show(self, name: str) -> None:
        """Show another set of pictures from the next one on, on connections that are open too."""
        self.showing = name

    def stall(self) -> None:
        """Send nothing more, and close nothing."""
        self.flowing.clear()

    def go_on(self) -> None:
        """Send again."""
        self.flowing.set()

    def cut(self) -> None:
        """End each connection that is open in the middle of its next picture."""
        self.cuts += 1

    def __enter__(self) -> "MjpegServer":
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.ending.set()
        self.flowing.set()
        self.shutdown()
        self.server_close()
        self._thread.join(2)


class _Stream(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever looked is gone
            self._send_pictures()

    def _send_pictures(self) -> None:
        server, cuts = self.server, self.server.cuts
        for number in itertools.count():
            if number == server.count:
                server.ending.wait(30 if server.then == "stall" else 0)
                return
            while not server.flowing.wait(1.0):
                pass
            pictures = server.pictures[server.showing]
            content = pictures[number % len(pictures)]
            part = b"--next\r\nContent-Type: image/jpeg\r\n" + f"Content-Length: {len(content)}\r\n\r\n".encode()
            if server.cuts != cuts:
                self.wfile.write(part + content[: len(content) // 2])
                return
            self.wfile.write(part + content + b"\r\n")
            if server.ending.wait(server.interval_s):
                return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mjpeg_server(
    *, count: int, then: Literal["close", "stall"], shapes: Sequence[tuple[int, ...]] = ((120, 160, 3),)
) -> Iterator[str]:
    """Yield the address of an MJPEG stream of `count` pictures that then closes (`close`) or says nothing (`stall`).

    The pictures have one of the shapes after the other, each for an equal part of the stream; (H,W) are grey JPEGs.
    """
    pictures = [as_jpeg(_noise(number, shapes[number * len(shapes) // count])) for number in range(count)]
    with MjpegServer({"noise": pictures}, count=count, then=then) as server:
        yield server.url


def _noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    frame = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    frame[-shape[0] // 6 :, -shape[1] // 6 :] = 255  # whoever sees this corner sees all of the picture
    return frame


def as_jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Return a frame, (H,W) or (H,W,3) uint8, as a JPEG file."""
    return bytes(cv2.imencode(".jpg", frame)[1])
