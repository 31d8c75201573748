"""A real RTSP server, GStreamer's: run by the system's Python, which has its bindings; prints the port, then serves.

/usr/bin/python3 rtsp_server.py [PORT]

It shows a moving ball, 320x240 at 25 frames a second, as JPEG in RTP; SIGUSR1 makes it 160x120, and again
320x240.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,framerate=25/1 ! videoscale "
    "! capsfilter name=size caps=video/x-raw,width=320,height=240 ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)


sizes = []
now = {"width": 320, "height": 240}


def change_size() -> bool:
    """Change what the pipelines that run are negotiated for."""
    now.update({"width": 480 - now["width"], "height": 360 - now["height"]})
    caps = Gst.Caps.from_string("video/x-raw,width={width},height={height}".format(**now))
    for element in sizes:
        element.set_property("caps", caps)
    return True


def main() -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1] if len(sys.argv) > 1 else "0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, media: sizes.append(media.get_element().get_by_name("size")))
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, change_size)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
