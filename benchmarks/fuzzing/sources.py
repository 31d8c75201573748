"""Sources: addresses, pictures and videos in files, folders and watched folders, and a server that sends anything.

attempt(picture(folder), ("grey.png", b"..."), sandbox)
"""

import contextlib
import os
import shutil
import socket
import struct
import threading
import zlib
from pathlib import Path

from hypothesis import strategies
from hypothesis.strategies import DrawFn

from fuzzing.artefacts import pictures, video
from fuzzing.target import SECRET, FaultError, Target
from fuzzing.values import changed_bytes, changed_bytes_of, hostile_texts
from ganspect.datasets.images import read_image
from ganspect.opencv import LARGEST_PIXELS
from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.address import read_address
from ganspect.runtime.capture.network import NetworkSource
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.watch import WatchSource

_SIDES = (0, 1, 20, 10_000, 10_001, 32_767, 65_535, 100_000, 2**31 - 1, 2**31, 2**32 - 1)
_AT_ONCE = SourceSettings(open_timeout_s=1, read_timeout_s=1, poll_s=0.001, settle_s=0, give_up_s=0)
_LARGE_S = 45.0
"""A picture of the largest size that is allowed takes seconds, on a busy machine many."""

_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "srt", "HTTP", "gst", "watch", "file", "ftp", "concat", "")


def address(folder: Path) -> Target:
    """Return the target of addresses; those of files that are not there are opened too."""

    def run(text: str) -> None:
        found = read_address(text)
        if found.kind == "network" and SECRET in found.shown:
            raise FaultError(f"the address is shown with its password: {found.shown!a}")
        if found.kind == "absent" or (found.kind == "watch" and found.path and str(found.path).startswith("no")):
            open_source(found).close()

    secrets = hostile_texts().map(lambda text: f"{text[:30]}{SECRET}{text[:30]}")
    logins = strategies.tuples(strategies.sampled_from(_SCHEMES), hostile_texts(), secrets, hostile_texts())
    urls = logins.map(
        lambda parts: (
            f"{parts[0]}://{parts[1][:40].replace(SECRET, '')}:{parts[2]}@host/{parts[3][:40].replace(SECRET, '')}"
        )
    )
    watched = hostile_texts().map(lambda text: f"watch:no/{text}")
    return Target("addresses", strategies.one_of(hostile_texts(), urls, watched), run)


def picture(folder: Path) -> Target:
    """Return the target of one picture; what is accepted must be of a size that is allowed."""
    place = folder / "pictures"
    place.mkdir()

    def run(given: tuple[str, bytes]) -> None:
        name, content = given
        path = place / name
        path.write_bytes(content)
        frame = read_image(path)
        if frame.shape[0] * frame.shape[1] > LARGEST_PIXELS:
            raise FaultError(f"a picture of {frame.shape} was decoded")

    return Target("pictures", _pictures(), run, limit_s=_LARGE_S)


def folder_of_pictures(folder: Path) -> Target:
    """Return the target of a folder with one entry of any name and kind in it, as `screen` reads it."""
    place = folder / "folder"

    def run(given: tuple[str, str, bytes]) -> None:
        name, kind, content = given
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        _put(place, name, kind, content)
        with open_source(str(place)) as source:
            list(source)
        with open_source(str(place / name)) as source:
            list(source)

    return Target("folders", _entries(), run, limit_s=_LARGE_S)


def watched(folder: Path) -> Target:
    """Return the target of a watched folder with one entry; it must be moved, or left, and nothing else."""
    place = folder / "watched"

    def run(given: tuple[str, str, bytes]) -> None:
        name, kind, content = given
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        with contextlib.suppress(OSError):
            (place / "done").symlink_to(folder.parent) if kind == "link away" else None
        _put(place, name, kind, content)
        source = WatchSource(read_address(f"watch:{place}"), _AT_ONCE)
        looks = threading.Timer(0.05, source.close)
        looks.start()
        for shot in source:
            source.done(shot)
        looks.join()

    return Target(
        "watched folders",
        _entries(("file", "file", "link", "dir", "fifo", "link away")),
        run,
        limit_s=_LARGE_S,
        examples=15,
    )


def movie(folder: Path) -> Target:
    """Return the target of video files."""
    path = folder / "movie.avi"
    real = video(folder / "real.avi")
    lists = (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/dev/zero\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:1,\nreal.avi\n",
        b"ffconcat version 1.0\nfile /etc/passwd\nfile movie.avi\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        b"[playlist]\nFile1=http://127.0.0.1:1/\n",
        b"<?xml version='1.0'?><MPD><Period/></MPD>",
        b"\x1aE\xdf\xa3" + b"\xff" * 60,
        b"\0\0\0\x20ftypisom" + b"\0\0\0\0mdat" * 5,
        b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xff",
    )
    sizes = strategies.tuples(strategies.sampled_from(_SIDES), strategies.sampled_from(_SIDES))
    resized = sizes.map(lambda size: _avi_of(real, *size))

    def run(content: bytes) -> None:
        path.write_bytes(content)
        with open_source(str(path)) as source:
            for number, shot in enumerate(source):
                if shot.frame.shape[0] * shot.frame.shape[1] > LARGEST_PIXELS:
                    raise FaultError(f"a frame of {shot.frame.shape} was decoded")
                if number > 1_000:
                    raise FaultError("the video does not end")

    inputs = strategies.one_of(changed_bytes([real]), resized, changed_bytes(list(lists)))
    return Target("videos", inputs, run, limit_s=_LARGE_S, examples=25)


def stream(folder: Path) -> Target:
    """Return the target of an HTTP server on loopback that sends these bytes, and then hangs up or says no more."""
    jpeg = {name: content for name, content in pictures().items() if name.endswith("jpg")}
    part = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
    body = b"".join(part % (len(content), content) for content in jpeg.values()) * 3
    head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n"
    server = _Server()

    def run(given: tuple[bytes, bool]) -> None:
        server.answer, server.hangs = given
        with NetworkSource(read_address(server.url), _AT_ONCE) as source:
            for number, _ in enumerate(source):
                if number > 1_000:
                    raise FaultError("the stream does not end")

    whole = changed_bytes([head + body, body, b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"])
    behind = changed_bytes([body, body * 20]).map(lambda content: head + content)
    huge = strategies.tuples(*[strategies.sampled_from(_SIDES)] * 2).map(
        lambda size: head + part % (len(jpeg["grey.jpg"]), _jpeg_of(jpeg["grey.jpg"], *size))
    )
    loops = strategies.just(f"HTTP/1.1 302 Found\r\nLocation: {server.url}\r\n\r\n".encode())
    slow = strategies.sampled_from((False,) * 20 + (True,))
    return Target("streams", strategies.tuples(strategies.one_of(whole, behind, huge, loops), slow), run, examples=10)


class _Server:
    """Answers whoever connects with the same bytes."""

    def __init__(self) -> None:
        self.answer, self.hangs = b"", False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/camera"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._reply, args=(connection,), daemon=True).start()

    def _reply(self, connection: socket.socket) -> None:
        answer, hangs = self.answer, self.hangs
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(answer)
            while hangs and connection.recv(4096):
                pass
            connection.shutdown(socket.SHUT_WR)


@strategies.composite
def _pictures(draw: DrawFn) -> tuple[str, bytes]:
    """Draw a picture with changed bytes, or one that claims another size and is sound else."""
    name, content = draw(strategies.sampled_from(sorted(pictures().items())))
    if draw(strategies.booleans()):
        content = _resized(content, draw(strategies.sampled_from(_SIDES)), draw(strategies.sampled_from(_SIDES)))
    content = draw(changed_bytes_of(strategies.just(content)))
    return name, _with_checksums(content) if draw(strategies.booleans()) else content


@strategies.composite
def _entries(
    draw: DrawFn, kinds: tuple[str, ...] = ("file", "file", "link", "dir", "fifo", "loop")
) -> tuple[str, str, bytes]:
    stem = draw(hostile_texts().map(lambda text: text.encode("utf-8", "replace")) | strategies.binary(max_size=20))
    name = os.fsdecode(stem.replace(SECRET.encode(), b"").replace(b"/", b"_").replace(b"\0", b"")[:200]) + draw(
        strategies.sampled_from((".png", ".PNG", ".jpg", ".avi", ".png ", ""))
    )
    name = "x.png" if name in (".", "..", "", "done", "failed") else name
    return name, draw(strategies.sampled_from(kinds)), draw(_pictures())[1]


def _put(place: Path, name: str, kind: str, content: bytes) -> None:
    path = place / name
    if kind == "dir":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "link":
        path.symlink_to(place / ".real")
        (place / ".real").write_bytes(content)
    else:
        path.write_bytes(content)


def _resized(content: bytes, width: int, height: int) -> bytes:
    """Return a picture whose header claims another size."""
    if content.startswith(b"\x89PNG"):
        return content[:16] + struct.pack(">II", width, height) + content[24:]
    if content.startswith(b"\xff\xd8"):
        return _jpeg_of(content, width, height)
    if content.startswith(b"BM"):
        return content[:18] + struct.pack("<II", width, height) + content[26:]
    if content.startswith(b"II*\0"):
        return _tiff_of(content, width, height)
    return content


def _jpeg_of(content: bytes, width: int, height: int) -> bytes:
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        at = content.find(marker)
        if at > 0:
            return content[: at + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + content[at + 9 :]
    return content


def _tiff_of(content: bytes, width: int, height: int) -> bytes:
    changed = bytearray(content)
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", content, entry)
        # Its sides and, so that few bytes are enough, rows of one strip.
        if tag in (256, 257, 278):
            struct.pack_into("<HII", changed, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(changed)


def _avi_of(content: bytes, width: int, height: int) -> bytes:
    """Return a video whose header, stream format and pictures claim another size."""
    size = struct.pack("<II", width & 0x7FFFFFFF, height & 0x7FFFFFFF)
    at = content.find(b"strf")
    changed = content[: at + 12] + size + content[at + 20 :] if at > 0 else content
    return _jpeg_of(changed, width, height)


def _with_checksums(content: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of what they hold now; other content as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    made, at = bytearray(content[:8]), 8
    while at + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 8 + min(length, len(content))]
        made += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(made)
