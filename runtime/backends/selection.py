"""The backend by its name; the module of each is imported only when it is asked for.

backend = open_backend("openvino", open_bundle(Path("bundle")), precision="bf16")
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ganspect.bundle import Bundle
from ganspect.errors import ConfigError, MissingDependencyError
from ganspect.records import Precision
from ganspect.runtime.backends.backend import Backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.sections import known_precision, nearest


@dataclass(frozen=True)
class Engine:
    """Where a backend's class is, and what must be installed for it.

    Attributes:
        module: in `ganspect.runtime.backends`.
        cls: the class's name; it takes a bundle, and by name tuning, precision and device, and has `offers`.
        package: what is imported.
        product: as its maker calls it.
        cure: how to install it.
    """

    module: str
    cls: str
    package: str
    product: str
    cure: str

    def load(self) -> Any:
        """Return the class.

        Raises:
            MissingDependencyError: its package is not installed.
        """
        try:
            return getattr(import_module(f"ganspect.runtime.backends.{self.module}"), self.cls)
        except ImportError as error:
            raise MissingDependencyError(f"{self.product} is not installed; {self.cure}") from error


ENGINES = {
    "onnxruntime": Engine(
        "onnxruntime_cpu", "OnnxRuntimeCpu", "onnxruntime", "ONNX Runtime", "run: pip install 'ganspect[cpu]'"
    ),
    "onnxruntime-cuda": Engine(
        "onnxruntime_cuda",
        "OnnxRuntimeCuda",
        "onnxruntime",
        "ONNX Runtime with CUDA",
        "run: pip install 'ganspect[gpu]' (on a Jetson: the onnxruntime-gpu wheel of your JetPack)",
    ),
    "onnxruntime-tensorrt": Engine(
        "onnxruntime_tensorrt",
        "OnnxRuntimeTensorRt",
        "onnxruntime",
        "ONNX Runtime with TensorRT",
        "run: pip install 'ganspect[gpu]' tensorrt (on a Jetson: the onnxruntime-gpu wheel of your JetPack)",
    ),
    "openvino": Engine("openvino_devices", "OpenVino", "openvino", "OpenVINO", "run: pip install 'ganspect[openvino]'"),
    "tensorrt": Engine(
        "tensorrt.classic",
        "TensorRt",
        "tensorrt",
        "TensorRT",
        "run: pip install 'ganspect[tensorrt]' (a Jetson has it from JetPack: make the environment with "
        "--system-site-packages)",
    ),
    "tensorrt-rtx": Engine(
        "tensorrt.rtx",
        "TensorRtRtx",
        "tensorrt_rtx",
        "TensorRT-RTX",
        "run: pip install 'ganspect[tensorrt-rtx]'",
    ),
}
"""Every backend by the name that `open_backend` takes; a device may follow it, as in `openvino:GPU`."""

BACKENDS = tuple(ENGINES)


def find_engine(name: str) -> tuple[Engine, str | None]:
    """Return the engine of a backend's name, and the device that follows it.

    Raises:
        ConfigError: there is no backend of that name.
    """
    kind, _, device = name.partition(":")
    if kind not in ENGINES:
        raise ConfigError(f"unknown backend {name!r}; {nearest(kind, list(BACKENDS))}")
    return ENGINES[kind], device or None


def open_backend(name: str, bundle: Bundle, *, tuning: Tuning = LATENCY, precision: Precision = "fp32") -> Backend:
    """Open a backend on a bundle; graphs are loaded when first run.

    Args:
        name: one of `BACKENDS`, perhaps with a device: `openvino:GPU`.
        bundle: an opened bundle.
        tuning: how the CPU is used.
        precision: of the convolutions.

    Raises:
        ConfigError: no backend of that name, or one that cannot run this precision.
        BundleError: the bundle has no graphs of this precision.
        DeviceError: the device is not there.
        MissingDependencyError: its package is not installed.
    """
    engine, device = find_engine(name)
    known_precision(precision)
    backend: Backend = engine.load()(bundle, tuning=tuning, precision=precision, device=device)
    return backend


def offered_precisions(name: str, bundle: Bundle) -> tuple[Precision, ...]:
    """Return the precisions in which a backend can run a bundle on this machine and gains by it; fp32 always first.

    Raises:
        ConfigError: there is no backend of that name.
        MissingDependencyError: its package is not installed.
    """
    engine, device = find_engine(name)
    offered: tuple[Precision, ...] = engine.load().offers(bundle, device)
    return offered
