"""`ganspect run` as a process of its own, as a supervisor starts and kills it.

station = StationProcess(Path("station.yaml"), Path("station.log"))
station.start(); station.wait_until_running(); station.kill(); station.start()
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from station_rig.needed import needed

ROOT = Path(__file__).resolve().parents[2]
MAIN = ("-c", "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()")


class StationProcess:
    """A station.

    Attributes:
        starts: how often it was started.
        log: file with everything that it said on standard error.
    """

    def __init__(
        self, file: Path, log: Path, *, program: Sequence[str] = MAIN, environment: Mapping[str, str] | None = None
    ) -> None:
        """Take what it needs; nothing runs yet.

        Args:
            file: the station's.
            log: where its standard error is appended.
            program: what Python runs, `run FILE` follows.
            environment: beside this process's own.
        """
        self.starts = 0
        self.log = log
        self._command = [sys.executable, *program, "run", str(file)]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said = 0

    @property
    def pid(self) -> int:
        """Return its number."""
        return needed(self._process, "a station that was started").pid

    def start(self) -> None:
        """Start it, and do not wait."""
        self._said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=log
            )
        self.starts += 1

    def wait_until_running(self, timeout_s: float = 60.0) -> None:
        """Wait until it says that it runs.

        Raises:
            RuntimeError: it ended, or took too long.
        """
        end_s = time.monotonic() + timeout_s
        while " runs with " not in self.log.read_text(errors="replace")[self._said :]:
            if self.has_ended or time.monotonic() > end_s:
                raise RuntimeError(f"the station does not run; it said: {self.log.read_text()[self._said :][-2000:]}")
            time.sleep(0.02)

    @property
    def has_ended(self) -> bool:
        """Return whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 40.0) -> int:
        """Ask it to stop, wait until it did, and return its status."""
        process = needed(self._process, "a station that was started")
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def said(self, text: str) -> int:
        """Return how many lines of its log contain a text."""
        return sum(text in line for line in self.log.read_text(errors="replace").splitlines())

    def traceback(self) -> str:
        """Return the first traceback of its log with the line before it, 4,000 characters at most; "" without one."""
        before, found, rest = self.log.read_text(errors="replace").partition("Traceback (most recent call last)")
        return f"{before.splitlines()[-1] if before else ''}\n{found}{rest[:4000]}" if found else ""
