"""What Linux tells of the processor: clock, temperature, load, and a Jetson's power mode.

print(state())
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

_NVPMODEL_S = 5
_ROOT = Path("/")


def governors(root: Path = _ROOT) -> list[str]:
    """Return the cores' frequency governors, each once; empty where the kernel sets no frequency (virtual machines)."""
    texts = (_read(path) for path in sorted((root / "sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")))
    return sorted({text for text in texts if text})


def state(root: Path = _ROOT) -> dict[str, Any]:
    """Return what changes while a machine works: clocks in MHz, temperatures in degrees Celsius, and its load.

    The load average is of the last minute; what is not told is empty or null.
    """
    return {
        "clock_mhz": _clocks_mhz(root),
        "temperature_c": _temperatures_c(root),
        "load_average": _load_average(),
    }


def busy_s(root: Path = _ROOT) -> float | None:
    """Return the seconds that all cores have worked since the machine started, with what a hypervisor took.

    None where the kernel does not say.
    """
    text = _read(root / "proc/stat")
    if text is None or not text.startswith("cpu "):
        return None
    user, nice, system, _, _, interrupts, soft, steal = map(int, text.split()[1:9])
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def power_mode() -> str | None:
    """Return a Jetson's power mode as nvpmodel names it; None elsewhere."""
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        asked = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=_NVPMODEL_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return " ".join(asked.stdout.split()) or None


def _clocks_mhz(root: Path) -> list[float]:
    paths = sorted((root / "sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_cur_freq"))
    clocks = [float(text) / 1e3 for text in map(_read, paths) if text]
    if clocks:
        return clocks
    with contextlib.suppress(OSError, ValueError):
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return []


def _temperatures_c(root: Path) -> dict[str, float]:
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name, value = _read(zone / "type"), _read(zone / "temp")
        if name and value:
            found[f"{zone.name} {name}"] = float(value) / 1e3
    return found


def _load_average() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _read(path: Path) -> str | None:
    """Return a file's text; None where it cannot be read: sensors that are listed may still refuse."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
