"""GStreamer pipelines, where this OpenCV has GStreamer: JetPack's own and Debian's do, pip's wheel does not.

open_source("gst:nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1280,height=720 ! nvvidconv ! video/x-raw,format=BGRx
    ! videoconvert ! video/x-raw,format=BGR")
"""

from ganspect.errors import MissingDependencyError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.video import LiveCapture, opened_capture

_SINK = "appsink drop=true max-buffers=1 sync=false"


class GStreamerSource(LiveCapture):
    """A pipeline; what it must end in, `appsink`, is added where it is left out."""

    def __init__(self, address: Address) -> None:
        """Start the pipeline.

        Raises:
            MissingDependencyError: this OpenCV was built without GStreamer.
            SourceError: the pipeline does not start.
        """
        super().__init__(address.shown, length=None)
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise MissingDependencyError(
                f"{self.name} needs an OpenCV with GStreamer, and this one ({cv2.__version__} from "
                f"{cv2.__path__[0]}) was built without; on a Jetson make the environment with --system-site-packages "
                "and run: pip uninstall opencv-python"
            )
        pipeline = address.text.partition(":")[2].strip()
        if "appsink" not in pipeline:
            pipeline = f"{pipeline} ! {_SINK}"
        self._capture = opened_capture(pipeline, cv2.CAP_GSTREAMER)
        if not self._capture.isOpened():
            self.close()
            raise SourceError(f"the pipeline {self.name} does not start; try it with: gst-launch-1.0 PIPELINE")

    def how_it_ended(self, count: int) -> str:
        """Return the sentence for an end after so many frames."""
        return f"the pipeline {self.name} stopped after {count} frames; see: GST_DEBUG=3"
