"""What a figure was measured on: processor, cores, versions and time of day, for every report and result.

{"latency_ms": 12.3, **machine()}
"""

import os
import platform
from datetime import datetime, timezone
from typing import Any

import numpy as np


def machine() -> dict[str, Any]:
    """Return `python`, `numpy`, `machine`, `processor`, `cores` that this process may use, and `evaluated`, UTC."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "evaluated": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """Return the processor's name as Linux gives it; `platform.processor()` is empty on many distributions."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
