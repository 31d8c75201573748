"""What a benchmark was measured on: machine, clocks, power, versions, and the files that were run.

environment(bundle, meter, before)
"""

from importlib import metadata
from typing import Any

from ganspect import __version__
from ganspect.bundle import Bundle
from ganspect.runtime.bench.energy import Meter
from ganspect.runtime.bench.nvidia import describe_gpus
from ganspect.runtime.bench.sensors import governors, power_mode, state
from ganspect.runtime.machine import cpu_flags, machine

_PACKAGES = (
    *("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13"),
    *("torch", "opencv-python"),
)


def environment(bundle: Bundle, meter: Meter, before: dict[str, Any]) -> dict[str, Any]:
    """Return everything that may explain a figure.

    Args:
        bundle: that was measured.
        meter: of energy.
        before: what `state` said when the measurement began.
    """
    return {
        "ganspect": __version__,
        **machine(),
        "cpu_flags": cpu_flags(),
        "governor": governors(),
        "power_mode": power_mode(),
        "before": before,
        "after": state(),
        "gpus": describe_gpus(),
        "energy": meter.source,
        "packages": _versions(),
        "files_mb": file_sizes_mb(bundle),
    }


def file_sizes_mb(bundle: Bundle) -> dict[str, float]:
    """Return the size of each exported file and of each engine, by its path in the bundle, in MB of 10^6 bytes."""
    exported = [bundle.folder / name for name in sorted(bundle.manifest.sha256)]
    engines = sorted(path for path in (bundle.folder / "engines").glob("*") if path.is_file())
    return {
        str(path.relative_to(bundle.folder)): round(path.stat().st_size / 1e6, 3)
        for path in (*exported, *engines)
        if path.suffix != ".json"
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
