"""RTSP cameras that show the parts of a video and write into each picture when it was taken.

with timed_cameras(folder, Path("demo/line.avi"), count=2) as servers: print(servers[0].url)
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from ganspect.opencv import cv2
from station_rig.streams import RtspServer
from station_rig.time_code import STRIP_HEIGHT

WIDTH, HEIGHT, FRAMES_PER_S = 640, 360, 30
_SIDE = HEIGHT - STRIP_HEIGHT
REGION_XYXY = ((WIDTH - _SIDE) // 2, STRIP_HEIGHT, (WIDTH + _SIDE) // 2, HEIGHT)
"""Where the part is, below the strip."""
_PICTURES = 90
_SERVER = Path(__file__).parent / "timed_rtsp_server.py"


@contextmanager
def timed_cameras(folder: Path, video: Path, *, count: int) -> Iterator[list[RtspServer]]:
    """Yield so many cameras."""
    pictures = folder / "pictures.i420"
    pictures.write_bytes(b"".join(_pictures(video)))
    with ExitStack() as opened:
        servers = []
        for _ in range(count):
            server = RtspServer(_SERVER, str(pictures), str(WIDTH), str(HEIGHT), str(FRAMES_PER_S))
            opened.callback(server.kill)
            servers.append(server)
        yield servers


def _pictures(video: Path) -> Iterator[bytes]:
    """Yield pictures of parts: square in the middle, below the strip for the time code, as raw I420."""
    capture = cv2.VideoCapture(str(video))
    left, top, right, bottom = REGION_XYXY
    for _ in range(_PICTURES):
        found, part = capture.read()
        if not found:
            break
        picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        picture[top:bottom, left:right] = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes()
