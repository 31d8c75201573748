"""Pictures for the page: each camera's newest frame, and those of the last parts that were flagged.

The newest frame is drawn when somebody asks for it, once for all who ask. Flagged frames are drawn in a thread of
their own, and passed over where too many wait: the page is for looking, the `pictures` sink for keeping.
"""

import contextlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from ganspect.errors import OutputError
from ganspect.opencv import cv2
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.judged import Judged
from ganspect.runtime.overlay import Picture, heat_panel, plain_panel, to_picture

View: TypeAlias = Literal["plain", "heat", "both"]
"""The frame, the frame under its heat map, or one beside the other."""

_LONG_SIDE_PX = 960
_QUALITY = 85
_WAITING = 8
_KEPT_BYTES = 48 << 20
_DRAWN_WITHIN_S = 1.0


class LivePictures:
    """Pictures that are in memory.

    Attributes:
        dropped: flagged frames of which there is no picture, since too many waited.
    """

    def __init__(self, inspector: Callable[[], Inspector]) -> None:
        """Begin.

        Args:
            inspector: returns the one in force, which knows how frames become tiles and how strong heat is.
        """
        self.dropped = 0
        self._inspector = inspector
        self._newest: dict[str, Judged] = {}
        self._drawn: dict[tuple[str, View], tuple[str, bytes]] = {}
        self._flagged: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._changed = threading.Condition()
        self._on_their_way: set[str] = set()
        self._waiting: queue.Queue[Judged | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="page pictures", daemon=True)
        self._thread.start()

    def judged(self, judged: Judged) -> None:
        """Take in a frame; never waits."""
        self._newest[judged.entry.camera] = judged
        if judged.verdict.anomalous:
            with self._changed:
                try:
                    self._waiting.put_nowait(judged)
                    self._on_their_way.add(judged.entry.uid)
                except queue.Full:
                    self.dropped += 1

    def picture(self, judged: Judged, view: View) -> bytes:
        """Return a frame as JPEG; that of a camera's newest one is drawn once, however many ask for it."""
        camera, uid = judged.entry.camera, judged.entry.uid
        drawn = self._drawn.get((camera, view))
        if drawn is None or drawn[0] != uid:
            drawn = (uid, self._jpeg(judged, view))
            self._drawn[camera, view] = drawn
        return drawn[1]

    def flagged(self, uid: str) -> bytes | None:
        """Return the picture of a flagged frame, frame and heat map side by side, or None where it is gone.

        One that is about to be drawn is waited for, since a browser asks once: call it from a thread of its own.
        """
        with self._changed:
            self._changed.wait_for(lambda: uid not in self._on_their_way, _DRAWN_WITHIN_S)
            return self._flagged.get(uid)

    def newest(self, camera: str) -> Judged | None:
        """Return a camera's newest frame with its verdict, or None where there is none yet."""
        return self._newest.get(camera)

    def close(self) -> None:
        """End the thread."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=1)
            self._thread.join(2)

    def _run(self) -> None:
        while (judged := self._waiting.get()) is not None:
            uid, content = judged.entry.uid, None
            try:
                content = self._jpeg(judged, "both")
            except Exception:  # the page shows the verdict without a picture
                self.dropped += 1
            with self._changed:
                self._on_their_way.discard(uid)
                self._changed.notify_all()
                if content is not None:
                    self._keep(uid, content)

    def _keep(self, uid: str, content: bytes) -> None:
        self._flagged[uid] = content
        self._bytes += len(content)
        while self._bytes > _KEPT_BYTES:
            _, oldest = self._flagged.popitem(last=False)
            self._bytes -= len(oldest)

    def _jpeg(self, judged: Judged, view: View) -> bytes:
        inspector = self._inspector()
        picture = to_picture(judged.frame, inspector.grid)
        panels = []
        if view != "heat":
            panels.append(plain_panel(picture))
        if view != "plain":
            panels.append(heat_panel(picture, judged.verdict, full_scale=inspector.heat_scale()))
        return _encoded(np.concatenate([_bounded(panel) for panel in panels], axis=1))


def _bounded(panel: Picture) -> Picture:
    scale = _LONG_SIDE_PX / max(panel.shape[:2])
    if scale >= 1:
        return panel
    return np.asarray(cv2.resize(panel, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _encoded(panel: Picture) -> bytes:
    done, content = cv2.imencode(".jpg", panel, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OutputError("a picture cannot be encoded as JPEG")
    return bytes(content)
