"""Artefacts that are either whole or absent: atomic files and folders, and checks before work starts.

A killed process leaves at most a hidden `.NAME.partial…` beside its target, which no command reads.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganspect.errors import OutputError, one_line

_READ_BYTES = 1 << 20
JSON_BYTES = 64 << 20
"""The largest JSON file that is read; a calibration on a million images is not so large."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from error


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Fill a hidden file that takes its name only when the block ends without an error; for what is too big for memory.

    Yields:
        the hidden file's path; the block creates it.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial{os.getpid()}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise OutputError(f"cannot write {path}: {reason}; free some space or choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with two spaces of indent, atomically; NaN is refused."""
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON that may come from anywhere: see `plain_file` and `checked_json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or no such JSON.
    """
    return checked_json(plain_file(path))


def plain_file(path: Path) -> bytes:
    """Read a regular file of at most `JSON_BYTES`; a pipe or a device may give bytes without end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(JSON_BYTES + 1)
    if len(content) > JSON_BYTES:
        raise ValueError(f"{path} is larger than {JSON_BYTES >> 20} MB")
    return content


def checked_json(content: bytes) -> Any:
    """Return what JSON holds, its texts such as can be written; see `plain_json` for the rest.

    Raises:
        ValueError: it is no such JSON.
    """
    value = plain_json(content)
    if rb"\ud" in content.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate is a UnicodeError, which is a ValueError
    return value


def plain_json(text: str | bytes) -> Any:
    """Return what JSON holds, with finite numbers only.

    Raises:
        ValueError: it is no JSON, nested too deeply, or has NaN, infinity or a number beyond all bounds.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


@contextlib.contextmanager
def new_folder(path: Path, *, what: str) -> Iterator[Path]:
    """Fill a hidden folder and put it in place of `path` only when the block ends without an error.

    An older folder at `path` is replaced if it holds `what` (a file name that marks the kind), so that a
    mistyped `--out` never deletes something else.

    Raises:
        OutputError: `path` exists and is no such folder, or cannot be written.
    """
    require_replaceable(path, marker=what)
    require_writable(path.parent)
    hidden = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial", dir=path.parent))  # for its owner only
    partial = hidden / path.name
    try:
        partial.mkdir()  # with the permissions of the umask, which no thread can ask for without changing it
        yield partial
        _swap_in(partial, path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def require_replaceable(path: Path, *, marker: str) -> None:
    """Refuse to replace a folder that is neither empty nor of the kind that `marker` marks.

    Raises:
        OutputError: `path` is a file, or a folder with other content.
    """
    if not os.path.exists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path} is a file, a folder was expected; choose another --out")
    if any(path.iterdir()) and not (path / marker).exists():
        raise OutputError(f"{path} holds other files and no {marker}; choose an empty or new folder for --out")


def require_writable(folder: Path, *, free_mb: int = 50) -> Path:
    """Create a folder if need be and prove, before work starts, that files can be written into it.

    Raises:
        OutputError: it cannot be created or written, or has less than `free_mb` MB left.
    """
    for place in (folder, *folder.parents):
        if os.path.exists(place) and not place.is_dir():
            raise OutputError(f"cannot write into {folder}: {place} is no folder; choose another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".ganspect-probe"):
            pass
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}; choose a writable folder") from error
    if free_bytes < free_mb << 20:
        raise OutputError(
            f"the disk of {folder} has {free_bytes >> 20} MB left, at least {free_mb} MB are needed; free some space"
        )
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let only one process at a time change an index in a folder; others wait. The folder must be writable."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _swap_in(partial: Path, path: Path) -> None:
    if not path.exists():
        partial.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old", dir=path.parent))
    path.rename(old / path.name)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)
