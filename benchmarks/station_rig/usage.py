"""What a process uses, as Linux tells.

print(usage(os.getpid()).rss_kb)
"""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """A process at one moment.

    Attributes:
        rss_kb: memory that is in RAM.
        anonymous_kb: of that, what belongs to no file: what a leak adds to.
        descriptors: open files, sockets and the like.
        threads: of it.
        cpu_s: processor time since its start, all threads.
    """

    rss_kb: int
    anonymous_kb: int
    descriptors: int
    threads: int
    cpu_s: float


def usage(pid: int) -> Usage:
    """Return what a process uses.

    Raises:
        FileNotFoundError: there is none.
    """
    place = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    # Behind the name, which may hold blanks: user and system time are the 14th and 15th field.
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        rss_kb=int(status["VmRSS"].split()[0]),
        anonymous_kb=int(status["RssAnon"].split()[0]),
        descriptors=len(list((place / "fd").iterdir())),
        threads=int(status["Threads"]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
    )


def machine_busy_s() -> float:
    """Return the seconds that all cores together have worked since the machine started."""
    fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def own_busy_s() -> float:
    """Return the seconds that this process has worked, and all processes that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
