"""An RTSP camera that writes into each picture when it was taken; run by the system's Python, which has GStreamer.

/usr/bin/python3 timed_rtsp_server.py PORT PICTURES WIDTH HEIGHT FRAMES_PER_S

PICTURES holds raw I420 pictures one after the other, shown in a circle. The strip on top is explained in
`time_code.py`, which reads it; the standard library alone is what this Python is sure to have. Prints the port, then
serves JPEG in RTP.
"""

import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BITS, BLOCK, UNIT_NS = 40, 16, 100_000
DARK, BRIGHT = b"\x10" * BLOCK, b"\xeb" * BLOCK


class Camera:
    """Pictures at a steady rate, for whoever looks."""

    def __init__(self, path: Path, width: int, height: int, frames_per_s: float) -> None:
        """Read the pictures."""
        size = width * height * 3 // 2
        content = path.read_bytes()
        self._pictures = [content[start : start + size] for start in range(0, len(content), size)]
        self._width = width
        self._interval_s = 1 / frames_per_s

    def show(self, _: object, media: "GstRtspServer.RTSPMedia") -> None:
        """Feed a client that has just come."""
        source = media.get_element().get_by_name("camera")
        threading.Thread(target=self._run, args=(source,), daemon=True).start()

    def _run(self, source: "Gst.Element") -> None:
        due_s, number = time.monotonic(), 0
        while True:
            picture = self._pictures[number % len(self._pictures)]
            head = _strip(self._width)
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(head + picture[len(head) :])) != Gst.FlowReturn.OK:
                return  # nobody looks any more
            number += 1
            due_s += self._interval_s
            time.sleep(max(0.0, due_s - time.monotonic()))


def _strip(width: int) -> bytes:
    now = time.monotonic_ns() // UNIT_NS
    bits = [now >> place & 1 for place in reversed(range(BITS))]
    rest = b"\x10" * (width - BITS * BLOCK)
    straight = b"".join(BRIGHT if bit else DARK for bit in bits) + rest
    inverse = b"".join(DARK if bit else BRIGHT for bit in bits) + rest
    return straight * BLOCK + inverse * BLOCK


def main() -> None:
    """Serve until killed."""
    port, path, width, height, frames_per_s = sys.argv[1:]
    Gst.init(None)
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_launch(
        "( appsrc name=camera is-live=true do-timestamp=true format=time max-bytes=2000000 "
        f"caps=video/x-raw,format=I420,width={width},height={height},framerate={frames_per_s}/1 "
        "! jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26 )"
    )
    camera = Camera(Path(path), int(width), int(height), float(frames_per_s))
    factory.set_shared(True)
    factory.connect("media-configure", camera.show)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
