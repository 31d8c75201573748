"""What kind of source a text names, and the text as it may be shown: without credentials.

address = read_address("rtsp://admin:secret@10.0.0.5/stream1")
print(address.kind, address.shown)     # rtsp rtsp://***@10.0.0.5/stream1
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from ganspect.datasets.images import SUFFIXES

Kind: TypeAlias = Literal["camera", "network", "gstreamer", "watch", "folder", "image", "video", "absent"]

_NETWORK = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "srt")
_HIDDEN = "***"


@dataclass(frozen=True)
class Address:
    """A source as the user named it.

    Attributes:
        kind: what it is; `absent` where it looks like a path and nothing is there.
        text: as given; may hold credentials.
        shown: for logs, pages, metrics and results.
        path: of a file or folder, else None.
        number: of a camera, else None.
    """

    kind: Kind
    text: str
    shown: str
    path: Path | None = None
    number: int | None = None

    @property
    def is_live(self) -> bool:
        """Return whether frames go on until somebody stops them: an end is then a failure."""
        return self.kind in ("camera", "network", "gstreamer", "watch")


def read_address(text: str) -> Address:
    """Return what a text names; nothing is opened."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "gst":
        return Address("gstreamer", text, redacted(text))
    if colon and scheme == "watch":
        return Address("watch", text, text, Path(rest).expanduser())
    if "://" in text and scheme.lower() in _NETWORK:
        return Address("network", text, redacted(text))
    if (number := re.fullmatch("(?:/dev/video)?([0-9]{1,4})", text)) and (text.startswith("/") or not _is_there(text)):
        return Address("camera", text, f"camera:{int(number[1])}", number=int(number[1]))
    path = Path(text).expanduser()
    if not text or not _is_there(text):
        return Address("absent", text, redacted(text), path)
    if path.is_dir():
        return Address("folder", text, text, path)
    return Address("image" if path.suffix.lower() in SUFFIXES else "video", text, text, path)


def redacted(text: str) -> str:
    """Return a text with the credentials of every URL in it hidden: user, password, and all values of its query."""
    return re.sub(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"']+", lambda found: _without_credentials(found[0]), text)


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://{_HIDDEN}"
    _, at, host = parts.netloc.rpartition("@")
    query = re.sub(r"=[^&;]*", f"={_HIDDEN}", parts.query) if "=" in parts.query else parts.query and _HIDDEN
    return urlunsplit((parts.scheme, f"{_HIDDEN}@{host}" if at else host, parts.path, query, ""))


def _is_there(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False
