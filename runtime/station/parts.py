"""What of a camera's frame is inspected: its region of interest, in the levels that the model takes.

parts = Parts(settings.cameras, bits=8)
frame = parts.of(arrival)
print(parts.status("left").clipped_share)
"""

import logging
import threading
from dataclasses import dataclass, replace
from typing import Literal

from ganspect.errors import ImageError
from ganspect.preprocess import Frame, Levels
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.station.settings import CameraSettings

_MUCH = 0.01
"""Share of a frame beyond the declared range that is logged: a few glints are normal."""

_log = logging.getLogger("ganspect.station")


@dataclass(frozen=True)
class PartStatus:
    """How a camera's frames fit the range that was declared for it.

    Attributes:
        frames: that were brought to the model's levels; 0 where no range was declared.
        clipped_frames: those of them with any pixel beyond the range.
        clipped_share: of the last frame's pixels, in [0, 1].
    """

    frames: int = 0
    clipped_frames: int = 0
    clipped_share: float = 0.0


class Parts:
    """Cuts and converts the frames of all cameras; used by the station's loop, its status by anybody."""

    def __init__(self, cameras: tuple[CameraSettings, ...], bits: Literal[8, 12, 16]) -> None:
        """Make the tables.

        Args:
            cameras: of the station file.
            bits: of the model.
        """
        self._regions = {camera.name: camera.roi_xyxy for camera in cameras}
        self._levels = {camera.name: Levels(*camera.levels, bits) for camera in cameras if camera.levels is not None}
        self._status = {camera.name: PartStatus() for camera in cameras}
        self._lock = threading.Lock()
        self._rarely = Rarely(at_once=1)

    def of(self, arrival: Arrival) -> Frame:
        """Return what the inspector shall look at.

        Raises:
            ImageError: the region is not inside the frame, or the frame does not fit the declared range.
        """
        frame = _cut(arrival.shot.frame, self._regions[arrival.camera])
        levels = self._levels.get(arrival.camera)
        if levels is None:
            return frame
        frame, beyond = levels.apply(frame)
        share = beyond / (frame.shape[0] * frame.shape[1])
        self._note(arrival.camera, share)
        if share > _MUCH:
            text = f"pixels are beyond range [{levels.black}, {levels.white}] and are clipped"
            before = f"camera {arrival.camera}: {share:.1%} of the "
            self._rarely.log(logging.WARNING, arrival.camera, text, before=before)
        return frame

    def status(self, camera: str) -> PartStatus:
        """Return how a camera's frames fit."""
        with self._lock:
            return self._status[camera]

    def _note(self, camera: str, share: float) -> None:
        with self._lock:
            before = self._status[camera]
            self._status[camera] = replace(
                before,
                frames=before.frames + 1,
                clipped_frames=before.clipped_frames + (share > 0),
                clipped_share=share,
            )


def _cut(frame: Frame, region: tuple[int, int, int, int] | None) -> Frame:
    if region is None:
        return frame
    left, top, right, bottom = region
    height, width = frame.shape[:2]
    if right > width or bottom > height:
        raise ImageError(
            f"the frame has {width}x{height} pixels and roi_xyxy ends at {right}, {bottom}; correct roi_xyxy"
        )
    return frame[top:bottom, left:right]
