"""What kind of source a text names, and the text as it may be shown: without credentials.

address = read_address("rtsp://admin:secret@10.0.0.5/stream1")
print(address.kind, address.shown)     # network rtsp://***@10.0.0.5/stream1
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ganspect.datasets.images import SUFFIXES
from ganspect.redaction import hide, redacted
from ganspect.sections import nearest

Kind: TypeAlias = Literal["camera", "basler", "network", "gstreamer", "watch", "folder", "image", "video", "absent"]

_NETWORK = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "srt")


@dataclass(frozen=True)
class Address:
    """A source as the user named it.

    Attributes:
        kind: what it is; `absent` where it looks like a path and nothing is there.
        text: as given; may hold credentials.
        shown: for logs, pages, metrics and results.
        path: of a file, folder or device, else None.
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
        return self.is_stream or self.kind == "watch"

    @property
    def is_stream(self) -> bool:
        """Return whether frames come by themselves, whether somebody takes them or not: not from files or folders."""
        return self.kind in ("camera", "basler", "network", "gstreamer")


def read_address(text: str) -> Address:
    """Return what a text names; nothing is opened. Credentials in it are shown nowhere from then on."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "gst":
        return Address("gstreamer", text, redacted(text))
    if colon and scheme == "basler":
        return Address("basler", text, text)
    if colon and scheme == "watch":
        return Address("watch", text, redacted(text), _expanded(rest))
    if "://" in text and scheme.lower() in _NETWORK:
        _hide_login(rest)
        return Address("network", text, redacted(text))
    if (number := re.fullmatch("(?:/dev/video)?([0-9]{1,4})", text)) and (text.startswith("/") or not _mode(text)):
        return Address("camera", text, f"camera:{int(number[1])}", number=int(number[1]))
    path, mode = _expanded(text), _mode(text)
    # /dev/v4l/by-id/…, whose names stay when cameras change places; one that is unplugged has no file, and may come.
    if stat.S_ISCHR(mode) or (not mode and text.startswith("/dev/")):
        return Address("camera", text, text, path)
    if not text or not mode:
        return Address("absent", text, redacted(text), path)
    if stat.S_ISDIR(mode):
        return Address("folder", text, text, path)
    return Address("image" if path.suffix.lower() in SUFFIXES else "video", text, text, path)


def impossible(text: str) -> str:
    """Return why a text can name no source at all, or an empty one; nothing is opened."""
    if not text.strip():
        return "it is empty; name a camera, a stream, a file or a folder"
    scheme, separator, rest = text.partition("://")
    if separator and re.fullmatch("[A-Za-z][A-Za-z0-9+.-]*", scheme):
        if scheme.lower() not in _NETWORK:
            return f"there is no scheme {scheme!r}; {nearest(scheme.lower(), list(_NETWORK))}"
        if not rest.rpartition("@")[2].partition("/")[0]:
            return f"{scheme}:// names no host; write for example {scheme}://10.0.0.5/stream1"
    return ""


def _hide_login(rest: str) -> None:
    """Hide user and password, whatever signs they hold: up to the last `@`."""
    login, at, _ = rest.removeprefix("//").rpartition("@")
    if at:
        hide(login)
        hide(login.partition(":")[2])


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):  # ~somebody who is not there, or whom nobody can be called
        return Path(text)


def _mode(text: str) -> int:
    """Return the kind of file, 0 where there is none."""
    try:
        return _expanded(text).stat().st_mode
    except (OSError, ValueError):
        return 0
