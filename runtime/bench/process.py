"""A measuring process from the outside.

with MeasuringProcess("openvino bf16", "ganspect.runtime.bench.worker") as process:
    described = process.ask("open", bundle="bundle", backend="openvino", precision="bf16", pool="pool")
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ganspect.errors import DeviceError, MissingDependencyError
from ganspect.runtime.bench.protocol import Message, result_of, send

_CLOSING_S = 5
_NOT_INSTALLED = re.compile(r"^(?:ModuleNotFoundError|ImportError): No module named '(\w+)", re.MULTILINE)


class MeasuringProcess:
    """Starts a module as a process of its own and asks it one thing after the other.

    Attributes:
        label: what it measures, for messages.
    """

    def __init__(self, label: str, module: str) -> None:
        """Start it; it does nothing until it is asked.

        Args:
            label: what it measures.
            module: that serves requests when run.
        """
        self.label = label
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )

    def ask(self, do: str, **fields: Any) -> Message:
        """Send a request and wait for its result.

        Raises:
            GanspectError: that the process raised.
            MissingDependencyError: it could not import a package.
            DeviceError: it ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the process was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            send(self._process.stdin, {"do": do, **fields})  # type: ignore[arg-type]
        line = self._process.stdout.readline()
        if not line:
            raise self._ended(do)
        return result_of(json.loads(line))

    def processor_ns(self) -> int:
        """Return the processor time that its threads took so far; 0 where Linux does not say."""
        total = 0
        for path in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # a thread may end meanwhile
                total += int(path.read_text(encoding="ascii").split()[0])
        return total

    def close(self) -> None:
        """End it: by closing the pipe, and by force where that is not enough."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> "MeasuringProcess":
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it; after an error at once."""
        if kind is not None:
            self._process.terminate()
        self.close()

    def _ended(self, do: str) -> Exception:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()
        if missing := _NOT_INSTALLED.search(said):
            return MissingDependencyError(f"{self.label} needs {missing.group(1)}, which is not installed")
        lines = said.strip().splitlines()
        last = f": {lines[-1].strip()}" if lines else ""
        return DeviceError(
            f"the process that measures {self.label} ended with status {status} when asked to {do}{last}; a smaller "
            "--batch needs less memory"
        )
