"""Streams over a network: RTSP, HTTP (MJPEG) and what else FFmpeg reads, with timeouts.

for shot in NetworkSource(read_address("rtsp://10.0.0.5/stream1"), SourceSettings()):
    print(shot.frame_index, shot.frame.shape)
"""

import time

from ganspect.errors import SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.video import LiveCapture, opened_capture, require_size


class NetworkSource(LiveCapture):
    """A stream; frames go on until it fails."""

    def __init__(self, address: Address, settings: SourceSettings) -> None:
        """Connect.

        Raises:
            SourceError: nothing answers within the timeout, or it is no stream that FFmpeg can read.
        """
        super().__init__(address.shown, length=None)
        self._read_timeout_s = settings.read_timeout_s
        options = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(settings.open_timeout_s * 1e3),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(settings.read_timeout_s * 1e3),
        }
        begin_s = time.monotonic()
        self._capture = opened_capture(address.text, cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            self.close()
            answered = time.monotonic() - begin_s < 0.9 * settings.open_timeout_s
            what = (
                "was refused, or is no stream" if answered else f"gave no answer within {settings.open_timeout_s:g} s"
            )
            raise SourceError(
                f"{self.name} {what}; check that the camera is on, and its address, user and password (ffprobe URL "
                "shows what it says)"
            )
        require_size(self._capture, self.name)
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_s = frames_per_s if 0 < frames_per_s < 1000 else None

    def how_it_ended(self, count: int) -> str:
        """Return the sentence for an end after so many frames."""
        return (
            f"{self.name} gave no frame for {self._read_timeout_s:g} s, or ended, after {count} frames; check the "
            "network and the camera"
        )
