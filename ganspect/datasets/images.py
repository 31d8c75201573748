"""Reading one image file without trusting it: its header and its end are checked before OpenCV decodes it.

    frame = read_image(Path("part_0042.png"))

OpenCV alone decodes whatever size a header claims, prints its complaints, and may fill what a truncated
file lacks with grey.
"""

import contextlib
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganspect.errors import ImageError
from ganspect.opencv import LARGEST_PIXELS, cv2, silenced
from ganspect.preprocess import Frame

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""File names that are taken for images, in any case."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class _Header(NamedTuple):
    width: int
    height: int
    complete: bool
    bits: int = 16


def image_paths(folder: Path) -> list[Path]:
    """Return the image files right in a folder, sorted by name; hidden files and other suffixes are left out."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES)


def read_image(path: Path) -> Frame:
    """Read an image as it is stored: (H,W) grey or (H,W,3) BGR, uint8 or uint16.

    Raises:
        ImageError: the file cannot be read, is empty, truncated, corrupt, of another format, has more than
            `LARGEST_PIXELS`, another number of channels (an alpha channel, for one) or another bit depth.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}; check the file and its permissions") from error
    _check(path, content)
    return _require_plain(path, _decode(content))


def _check(path: Path, content: bytes) -> None:
    if not content:
        raise ImageError(f"{path} is empty (0 bytes); copy it again")
    try:
        header = _header(content)
    except (IndexError, struct.error):
        header = _Header(0, 0, False)
    if header is None:
        raise ImageError(f"{path} is no PNG, JPEG, BMP or TIFF image; convert it to one of these")
    if header.width * header.height > LARGEST_PIXELS:
        raise ImageError(
            f"{path} is {header.width}x{header.height} pixels, at most {LARGEST_PIXELS // 10**6} megapixels are read; "
            "scale it down or cut it"
        )
    if header.bits > 16:
        raise ImageError(f"{path} holds {header.bits} bit values, 8 or 16 bit integers were expected; convert it")
    if not header.complete:
        raise ImageError(f"{path} is truncated or corrupt; copy it again")


def _decode(content: bytes) -> Frame | None:
    with silenced(), contextlib.suppress(cv2.error):
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return None


def _require_plain(path: Path, frame: Frame | None) -> Frame:
    if frame is None:
        raise ImageError(f"{path} is corrupt: OpenCV cannot decode it; copy it again")
    channels = 1 if frame.ndim == 2 else frame.shape[2]
    if channels not in (1, 3):
        raise ImageError(f"{path} has {channels} channels, expected 1 (grey) or 3 (colour); remove the alpha channel")
    if frame.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path} holds {frame.dtype} values, 8 or 16 bit integers were expected; convert it")
    return frame


def _header(content: bytes) -> _Header | None:
    if content.startswith(_PNG):
        return _png(content)
    if content.startswith(_JPEG):
        return _jpeg(content)
    if content.startswith(b"BM"):
        size, width, height = struct.unpack_from("<2xI12xii", content)
        return _Header(abs(width), abs(height), len(content) >= size)
    if content[:4] in _TIFF_ORDER:
        return _tiff(content)
    return None


def _png(content: bytes) -> _Header:
    """Walk the chunks, whose checksums tell a changed byte (PNG specification, 5.3); IEND must be the last."""
    width, height = struct.unpack_from(">16xII", content)
    position, kind, sound = len(_PNG), b"", True
    while sound and kind != b"IEND":
        (length,) = struct.unpack_from(">I", content, position)
        kind = content[position + 4 : position + 8]
        (checksum,) = struct.unpack_from(">I", content, position + 8 + length)
        sound = zlib.crc32(content[position + 4 : position + 8 + length]) == checksum
        position += 12 + length
    return _Header(width, height, sound)


def _jpeg(content: bytes) -> _Header:
    """Walk the segments to the scan; behind it FF D9 can only be the end of the image (ITU-T T.81, B.1)."""
    position, width, height = 2, 0, 0
    while True:
        marker = content[position + 1]
        if content[position] != 0xFF:
            return _Header(width, height, False)
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", content, position + 5)
        if marker == 0xDA:
            return _Header(width, height, content.find(b"\xff\xd9", position + 2 + length) >= 0)
        position += 2 + length


def _tiff(content: bytes) -> _Header:
    """Read size and bits from the first directory; libtiff itself refuses what is truncated."""
    order = _TIFF_ORDER[content[:4]]
    (directory,) = struct.unpack_from(f"{order}4xI", content)
    (count,) = struct.unpack_from(f"{order}H", content, directory)
    found = {256: 0, 257: 0, 258: 1}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", content, entry)
        if tag in found:
            place = entry + 8
            if kind == 3 and values > 2:  # do not fit here: one for each channel
                (place,) = struct.unpack_from(f"{order}I", content, place)
            (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), content, place)
    return _Header(found[256], found[257], True, found[258])
