"""Verdicts as JSON lines in files that rotate.

tail -F station/results/verdicts.jsonl
"""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from ganspect.files import require_writable
from ganspect.runtime.sinks.forwarder import Owed

CURRENT = "verdicts.jsonl"
_OLD = re.compile(r"verdicts-\d{8}T\d{6}\.\d{9}Z\.jsonl")


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
            self._rotate(path)

    def _rotate(self, path: Path) -> None:
        path.rename(self._new_name())
        old = sorted(entry for entry in self._folder.iterdir() if _OLD.fullmatch(entry.name))
        for entry in old[: max(0, len(old) - self._keep)]:
            entry.unlink(missing_ok=True)

    def _new_name(self) -> Path:
        """Return a name by the time of day that is not taken yet."""
        while True:
            now_ns = time.time_ns()
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9))
            path = self._folder / f"verdicts-{stamp}.{now_ns % 10**9:09d}Z.jsonl"
            if not path.exists():
                return path
