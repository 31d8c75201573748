"""What every source of frames is: an iterator that knows its length where it can, and what it had to leave out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from ganspect.datasets import Skipped
from ganspect.preprocess import Frame


@dataclass(frozen=True)
class Shot:
    """One frame and where it came from.

    Attributes:
        source: as results name it: the path of the image or video, or `camera:0`.
        frame_index: from 0, within a video, camera or folder.
        timestamp_ns: a camera's: time of day; a video's: position in it; an image's: time of its last change.
        frame: (H,W) grey or (H,W,3) BGR, uint8 or uint16.
        capture_ms: time to read and decode it, a camera's wait for the next frame included.
        identity: tells the frame from all others, and is the same when it is read again after a crash; empty where
            it cannot be read again, or is another frame's then.
    """

    source: str
    frame_index: int
    timestamp_ns: int
    frame: Frame
    capture_ms: float
    identity: str = ""


@dataclass(frozen=True)
class SourceSettings:
    """How sources are opened and read; each kind takes what concerns it.

    Attributes:
        size_hw: asked of a camera, in pixels; None: as it comes.
        frames_per_s: asked of a camera; None: as it comes.
        pixel_format: asked of a camera, such as `MJPG`, or of a Basler camera `Mono12`; None: as it comes.
        exposure_us: of a Basler camera; None: as it comes.
        gain_db: of a Basler camera; None: as it comes.
        trigger_line: of a Basler camera, such as `Line1`: it takes a frame at each signal; None: it runs freely.
        keep_every: a Basler camera's driver queues frames instead of giving the freshest.
        open_timeout_s: for a stream to answer.
        read_timeout_s: for the next frame of a stream or a Basler camera.
        poll_s: how often a watched folder is looked at.
        settle_s: how long a file must have stayed the same to be complete.
        give_up_s: how long one that cannot be decoded is tried.
    """

    size_hw: tuple[int, int] | None = None
    frames_per_s: float | None = None
    pixel_format: str | None = None
    exposure_us: float | None = None
    gain_db: float | None = None
    trigger_line: str | None = None
    keep_every: bool = False
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    poll_s: float = 0.2
    settle_s: float = 0.5
    give_up_s: float = 5.0


AS_IT_COMES = SourceSettings()
"""The default: what a camera gives by itself, and timeouts for a network in a plant."""


class Source(ABC):
    """Frames in order; a context manager that frees the camera or file.

    Attributes:
        name: as the user gave it.
        length: how many frames to expect, None where nobody knows.
        frames_per_s: of a video or camera, None where there is none.
        many: whether one frame that cannot be used is left out (a folder) or ends the run (anything else).
        dropped: frames that a camera's driver replaced by newer ones or could not deliver whole.
        skipped: what was left out so far, with reasons.
        on_skip: called with what is left out; by default it goes into `skipped`.
        warnings: what else a user should know, complete when the iteration has ended.
    """

    def __init__(self, name: str, *, length: int | None, frames_per_s: float | None = None, many: bool = False) -> None:
        """Hold what is known before the first frame."""
        self.name = name
        self.length = length
        self.frames_per_s = frames_per_s
        self.many = many
        self.dropped = 0
        self.skipped: list[Skipped] = []
        self.on_skip: Callable[[Skipped], None] = self.skipped.append
        self.warnings: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Shot]:
        """Yield frames until the source ends.

        Raises:
            SourceError: a camera stopped giving frames.
            ImageError: the only image cannot be read.
        """

    def done(self, shot: Shot) -> None:  # noqa: B027  (only a watched folder does something)
        """Take note that a frame's verdict is safe; a frame that is not done may come again after a restart."""

    def failed(self, shot: Shot) -> None:  # noqa: B027  (likewise)
        """Take note that a frame cannot be judged."""

    def interrupt(self) -> None:  # noqa: B027  (most sources cannot be, and end with their next frame)
        """End the iteration soon; may be called from any thread."""

    def skip(self, entry: Skipped) -> None:
        """Say that something is left out."""
        self.on_skip(entry)

    def close(self) -> None:  # noqa: B027  (files that are read whole have nothing to free)
        """Free the camera or file."""

    def __enter__(self) -> "Source":
        """Return the source."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the camera or file."""
        self.close()
