"""Verdicts as JSON lines in files that rotate.

tail -F station/results/verdicts.jsonl
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ganspect.files import require_writable
from ganspect.runtime.sinks.forwarder import Owed

CURRENT = "verdicts.jsonl"
_OLD = re.compile(r"verdicts-\d{12}\.jsonl")


class JsonLines:
    """Appends to one file, puts it aside when it is large, and keeps so many of those."""

    def __init__(self, folder: Path, *, rotate_bytes: int, keep: int) -> None:
        """Prepare the folder.

        Args:
            folder: for the files.
            rotate_bytes: size at which a file is put aside.
            keep: files that were put aside; older ones are removed.

        Raises:
            OutputError: it cannot be written.
        """
        self._folder = require_writable(folder)
        self._rotate_bytes = rotate_bytes
        self._keep = keep

    def send(self, owed: Sequence[Owed]) -> None:
        """Append a batch, on disk when this returns.

        Raises:
            OSError: the disk is full; what was written of the batch is taken back.
        """
        path = self._folder / CURRENT
        content = "".join(f"{one.line}\n" for one in owed).encode()
        if _is_torn(path):
            content = b"\n" + content  # a power cut left half a line, to which the next one must not be glued
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            end = os.fstat(descriptor).st_size
            try:
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:])
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        if end + len(content) >= self._rotate_bytes:
            self._rotate(path, owed[-1].number)

    def _rotate(self, path: Path, number: int) -> None:
        # By the last verdict's number in the history: the time of day may jump, and the newest would go first.
        path.replace(self._folder / f"verdicts-{number:012d}.jsonl")
        old = sorted(entry for entry in self._folder.iterdir() if _OLD.fullmatch(entry.name))
        for entry in old[: max(0, len(old) - self._keep)]:
            entry.unlink(missing_ok=True)


def _is_torn(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.seek(0, os.SEEK_END)) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except FileNotFoundError:
        return False
