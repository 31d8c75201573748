"""Which source a text names; more kinds are added here, each with a module of its own.

with open_source("rtsp://10.0.0.5/stream1") as source:
    for shot in source: ...
"""

from ganspect.errors import SourceError
from ganspect.extras import extra
from ganspect.redaction import redacted
from ganspect.runtime.capture.address import Address, impossible, read_address
from ganspect.runtime.capture.gstreamer import GStreamerSource
from ganspect.runtime.capture.images import FolderSource, ImageSource
from ganspect.runtime.capture.network import NetworkSource
from ganspect.runtime.capture.source import AS_IT_COMES, Source, SourceSettings
from ganspect.runtime.capture.video import CameraSource, VideoSource
from ganspect.runtime.capture.watch import WatchSource


def open_source(source: str | Address, settings: SourceSettings = AS_IT_COMES) -> Source:
    """Open what a text names: a camera, stream, pipeline, watched folder, folder of images, image, or video file.

    Raises:
        SourceError: no such camera, stream or path, a folder without images, a file that is no video or has no frames.
        MissingDependencyError: a pipeline, and this OpenCV has no GStreamer; a Basler camera without pypylon.
    """
    if isinstance(source, str) and (why := impossible(source)):
        raise SourceError(f"the source {redacted(source)!r} is none: {why}")
    address = read_address(source) if isinstance(source, str) else source
    if address.kind == "camera":
        return CameraSource(address.text if address.number is None else address.number, settings)
    if address.kind == "basler":
        with extra("basler"):
            from ganspect.runtime.capture.basler import BaslerSource
        return BaslerSource(address, settings)
    if address.kind == "network":
        return NetworkSource(address, settings)
    if address.kind == "gstreamer":
        return GStreamerSource(address)
    if address.kind == "watch":
        return WatchSource(address, settings)
    if address.kind == "absent" or address.path is None:
        raise SourceError(
            f"{address.shown!r} does not exist; give an image, a folder of images, a video file, a camera number, "
            "rtsp://…, http://…, gst:PIPELINE, basler:SERIAL or watch:FOLDER"
        )
    if address.kind in ("image", "video") and not address.path.is_file():
        raise SourceError(f"{address.shown!r} is neither a file nor a folder (a pipe or socket?); give one of these")
    if address.kind == "folder":
        return FolderSource(address.text, address.path)
    if address.kind == "image":
        return ImageSource(address.text, address.path)
    return VideoSource(address.text, address.path)
