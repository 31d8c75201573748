"""Pictures of anomalies that a station kept, small enough to be inside the report.

uri = embedded(Path("station"), record)      # None where no picture was kept
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ganspect.opencv import cv2
from ganspect.runtime.history.local import local_time

_WIDTH_PX = 480
_QUALITY = 80


def embedded(data: Path, record: Mapping[str, Any]) -> str | None:
    """Return the heat map of a verdict as a data URI, at most 480 pixels wide.

    Args:
        data: of the station: the pictures are in one of its folders, by day.
        record: of the verdict.
    """
    for path in _candidates(data, record):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            continue
        height, width = image.shape[:2]
        if width > _WIDTH_PX:
            size = (_WIDTH_PX, max(1, round(height * _WIDTH_PX / width)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        done, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if done:
            return f"data:image/jpeg;base64,{base64.b64encode(bytes(content)).decode()}"
    return None


def _candidates(data: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    uid = str(record["id"])
    if not uid.isalnum():  # it becomes part of a pattern
        return
    noon = local_time(record["timestamp_ns"])
    # The station's clock may be in another time zone than who reads its history.
    for days in (0, -1, 1):
        day = (noon + timedelta(days=days)).strftime("%Y-%m-%d")
        yield from data.glob(f"*/{day}/*_{uid}_heat.jpg")
