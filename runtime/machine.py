"""What a figure was measured on: processor, cores, versions and time of day, for every report and result.

{"latency_ms": 12.3, **machine()}
"""

import contextlib
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.clock import utc_now

_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_tile", "amx_bf16", "amx_int8", "amx_fp16", "asimd", "asimdhp", "asimddp", "fphp", "bf16", "i8mm", "sve"),
)
_ROOT = Path("/")


def machine() -> dict[str, Any]:
    """Return `python`, `numpy`, `machine`, `processor`, `cores` that this process may use, and `evaluated`, UTC."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "evaluated": utc_now(),
    }


def cpu_flags(root: Path = _ROOT) -> list[str]:
    """Return those of the processor's instruction sets that inference engines ask for, as /proc/cpuinfo names them."""
    with contextlib.suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() in ("flags", "Features"):
                found = set(line.partition(":")[2].split())
                return [flag for flag in _FLAGS if flag in found]
    return []


def _processor() -> str:
    """Return the processor's name as Linux gives it; `platform.processor()` is empty on many distributions."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
