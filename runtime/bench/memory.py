"""Memory of this process: its peak in RAM, and what it holds on a GPU where NVML tells.

print(peak_rss_mb())
"""

import os
from pathlib import Path

from ganspect.runtime.bench.nvidia import process_memory_mb

_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Return the most memory that this process ever held, in MB of 10^6 bytes.

    Not `getrusage`, in which Linux counts what the parent held at the fork.
    """
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"{_STATUS} has no VmHWM")


def gpu_memory_mb() -> float | None:
    """Return what this process holds on all NVIDIA GPUs; None where there is none or NVML does not say."""
    return process_memory_mb(os.getpid())
