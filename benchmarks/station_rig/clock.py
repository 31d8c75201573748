"""A time of day that can be set back for one process only, by libfaketime; the machine's own clock is left alone.

clock = Clock(folder); StationProcess(…, environment=clock.environment); clock.set_back(3600)
"""

import platform
from pathlib import Path

_FOUND = [
    path
    for folder in (f"/usr/lib/{platform.machine()}-linux-gnu/faketime", "/usr/lib/faketime", "/usr/lib64/faketime")
    if (path := Path(folder) / "libfaketimeMT.so.1").exists()
]
NO_CLOCK = "" if _FOUND else "no libfaketime here; on Debian: apt-get install faketime"


class Clock:
    """The time of day of a process; its monotonic clock runs on, as it does when a clock is set.

    Attributes:
        offset_s: that its time of day is behind.
        environment: of the process.
    """

    def __init__(self, folder: Path) -> None:
        """Begin with the right time."""
        self.offset_s = 0.0
        self._file = folder / "clock"
        self.set_back(0)
        self.environment = {
            "LD_PRELOAD": str(_FOUND[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set_back(self, seconds: float) -> None:
        """Set it back by so much more."""
        self.offset_s += seconds
        written = self._file.with_suffix(".new")
        written.write_text(f"-{self.offset_s:g}\n")
        written.replace(self._file)
