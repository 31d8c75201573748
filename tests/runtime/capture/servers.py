"""Real servers of streams on loopback: RTSP by GStreamer, MJPEG by a few lines of HTTP."""

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from ganspect.opencv import cv2

_SYSTEM_PYTHON = "/usr/bin/python3"
_SERVER = Path(__file__).parent / "rtsp_server.py"
_HAS_SERVER = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def rtsp_is_missing() -> str:
    """Return why no RTSP server can run here, or an empty text."""
    packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    try:
        found = subprocess.run([_SYSTEM_PYTHON, "-c", _HAS_SERVER], capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    return "" if found else f"no RTSP server here; on Debian: apt-get install {packages}"


class RtspServer:
    """A server that can be killed and started again at the same port."""

    def __init__(self) -> None:
        self._port = ""
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://viewer:hunter2@127.0.0.1:{self._port}/camera"

    def start(self) -> None:
        command = [_SYSTEM_PYTHON, str(_SERVER), *([self._port] if self._port else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._port = self._process.stdout.readline().strip()

    def change_size(self) -> None:
        """Let the picture become smaller, or large again, in mid-stream."""
        self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class _Stream(BaseHTTPRequestHandler):
    """Sends pictures for ever, or stops in the middle of one, or says nothing more."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        try:
            for number in range(self.server.count):
                shape = self.server.shapes[number * len(self.server.shapes) // self.server.count]
                frame = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
                frame[-shape[0] // 6 :, -shape[1] // 6 :] = 255  # whoever sees this corner sees all of the picture
                content = cv2.imencode(".jpg", frame)[1].tobytes()
                self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\n")
                self.wfile.write(f"Content-Length: {len(content)}\r\n\r\n".encode() + content + b"\r\n")
                if self.server.ending.wait(0.02):
                    return
            if self.server.then == "stall":
                self.server.ending.wait(30)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mjpeg_server(*, count: int, then: str, shapes: Sequence[tuple[int, ...]] = ((120, 160, 3),)) -> Iterator[str]:
    """Yield the address of an MJPEG stream of `count` pictures that then closes (`close`) or says nothing (`stall`).

    The pictures have one of the shapes after the other, each for an equal part of the stream; (H,W) are grey JPEGs.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stream)
    server.daemon_threads = True
    server.count, server.then, server.ending = count, then, threading.Event()
    server.shapes = shapes
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://viewer:hunter2@127.0.0.1:{server.server_port}/video"
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join(2)
