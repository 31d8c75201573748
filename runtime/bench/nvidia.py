"""What NVML says of NVIDIA GPUs, if the optional package nvidia-ml-py is installed; else there is nothing to say.

pip install nvidia-ml-py
"""

import contextlib
from collections.abc import Iterator
from typing import Any


def describe_gpus() -> list[dict[str, Any]]:
    """Return name, driver, clocks, temperature and power of each GPU; empty without NVML or GPU."""
    with _nvml() as nvml:
        return [] if nvml is None else [_describe(nvml, handle) for handle in _handles(nvml)]


def process_memory_mb(pid: int) -> float | None:
    """Return the GPU memory of a process in MB of 10^6 bytes; None without GPU, or where the driver hides it."""
    with _nvml() as nvml:
        if nvml is None:
            return None
        used = [
            process.usedGpuMemory
            for handle in _handles(nvml)
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if process.pid == pid and process.usedGpuMemory is not None
        ]
    return sum(used) / 1e6 if used else None


def energy_j() -> float | None:
    """Return the energy that all GPUs took since the driver was loaded, in joules; None where they do not count it."""
    with _nvml() as nvml:
        if nvml is None or not _handles(nvml):
            return None
        counted = [_or_none(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle) for handle in _handles(nvml)]
    known = [value for value in counted if value is not None]
    return sum(known) / 1e3 if known else None


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    try:
        import pynvml  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _handles(nvml: Any) -> list[Any]:
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def _describe(nvml: Any, handle: Any) -> dict[str, Any]:
    power_mw = _or_none(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    limit_mw = _or_none(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    return {
        "name": _text(nvml.nvmlDeviceGetName(handle)),
        "driver": _text(nvml.nvmlSystemGetDriverVersion()),
        "sm_clock_mhz": _or_none(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": _or_none(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
        "temperature_c": _or_none(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        "power_w": None if power_mw is None else power_mw / 1e3,
        "power_limit_w": None if limit_mw is None else limit_mw / 1e3,
    }


def _or_none(nvml: Any, ask: Any, *arguments: Any) -> Any:
    try:
        return ask(*arguments)
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
