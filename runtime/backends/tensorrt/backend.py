"""The backend that TensorRT and TensorRT-RTX share: engines from the bundle's cache, or built and kept there."""

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ganspect.bundle import Bundle
from ganspect.errors import ConfigError, DeviceError, MissingDependencyError
from ganspect.progress import print_warning
from ganspect.records import Precision
from ganspect.runtime.backends.backend import Arrays, Backend
from ganspect.runtime.backends.forms import graph_file, held_precisions, require_precision
from ganspect.runtime.backends.tensorrt.flavour import Flavour, Messages
from ganspect.runtime.backends.tensorrt.parsing import engine_ports, parse
from ganspect.runtime.backends.tensorrt.serializing import serialize
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.engines import BuiltEngine, EngineCache, EngineKey, Source

if TYPE_CHECKING:
    from ganspect.runtime.backends.tensorrt.running import RunningGraph

_DRIVER = "libcuda.so.1"
_ROWS = 64
"""Of one call at most: what `ganspect.runtime.search` gives, and as many random starts as a bundle stores."""

_TURING = "sm75"


class TensorRtBackend(Backend):
    """Runs a bundle's graphs on an NVIDIA GPU; a graph whose engine is not in the cache is built when it first runs.

    Attributes:
        flavour: which of the two products.
        name: as `--backend` takes it.
        version: of the package.
        precision: of the convolutions; fp32 is without TensorFloat-32.
        device: the GPU's name.
    """

    flavour: ClassVar[Flavour]

    def __init__(
        self,
        bundle: Bundle,
        *,
        tuning: Tuning = LATENCY,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> None:
        """Prepare to load engines; see `open_backend` for what is raised.

        Args:
            bundle: an opened bundle.
            tuning: a GPU takes no notice.
            precision: of the convolutions.
            device: none can be named: it is the first GPU that CUDA shows.
        """
        require_precision(bundle, precision, self.flavour.forms, self.flavour.product)
        _refuse_device(self.flavour, device)
        self.device, self._kind = _find_gpu(self.flavour)
        self.name, self.version = self.flavour.name, self.flavour.version
        self.precision: Precision = precision
        self._bundle = bundle
        self._cache = EngineCache(bundle)
        self._running: dict[str, RunningGraph] = {}

    @classmethod
    def offers(cls, bundle: Bundle, device: str | None = None) -> tuple[Precision, ...]:
        """Return the precisions that the bundle has graphs of and this GPU computes, fp32 first.

        Raises:
            ConfigError: a device is named.
            DeviceError: there is no GPU.
        """
        _refuse_device(cls.flavour, device)
        _, kind = _find_gpu(cls.flavour)
        held = held_precisions(bundle, cls.flavour.forms)
        return tuple(precision for precision in held if not (precision == "bf16" and kind == _TURING))

    @classmethod
    def build(
        cls,
        bundle: Bundle,
        graph: str,
        *,
        precision: Precision,
        device: str | None = None,
        cache: EngineCache,
        again: bool = False,
    ) -> BuiltEngine:
        """Build the engine of a graph, or find it in the cache, and look at its inputs and outputs.

        They are read from the engine where there is a GPU to load it. Where there is none they are those of the network
        that was built from, which is strongly typed: the engine's are the same.

        Args:
            bundle: an opened bundle.
            graph: its name.
            precision: of the convolutions.
            device: kinds of GPU to build for ahead of time, `sm86,sm120`; None: the GPU here.
            cache: of the bundle.
            again: build it whatever the cache has.

        Raises:
            ConfigError: an unknown kind of GPU, or a precision that this flavour has not.
            BundleError: the bundle has no graphs of this precision, or the graph cannot be built.
            DeviceError: no device is given and there is no GPU.
        """
        begin = time.perf_counter()
        require_precision(bundle, precision, cls.flavour.forms, cls.flavour.product)
        kinds = cls.flavour.parse_kinds(device) if device else ()
        devices = kinds or (cls._cache_device(*_find_gpu(cls.flavour)),)
        keys = cls._keys(bundle, graph, precision, devices, cache)
        parsed = parse(cls.flavour, cls._file(bundle, graph, precision))
        content, source = cache.get_or_build(keys, lambda: serialize(parsed, rows=_ROWS, kinds=kinds), again=again)
        messages = Messages(cls.flavour.api)
        engine = cls.flavour.api.Runtime(messages.logger).deserialize_cuda_engine(content)
        inputs, outputs = engine_ports(engine) if engine is not None else (parsed.inputs(), parsed.outputs())
        seconds = time.perf_counter() - begin
        return BuiltEngine(graph, precision, inputs, outputs, len(content), seconds, source)

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph; see `ganspect.runtime.backends.backend.Backend.run`.

        Raises:
            DeviceError: the GPU cannot load or run the engine.
        """
        running = self._running.get(graph)
        if running is None:
            running = self._running[graph] = self._load(graph)
        outputs = running.run(inputs)
        return {name: outputs[name] for name in self._bundle.manifest.graphs[graph].outputs}

    def close(self) -> None:
        """Free the engines and their memory on the GPU."""
        for running in self._running.values():
            running.close()
        self._running.clear()

    def _load(self, graph: str) -> "RunningGraph":
        from ganspect.runtime.backends.tensorrt.running import RunningGraph

        content, source = self._content(graph)
        try:
            return RunningGraph(self.flavour, graph, content)
        except DeviceError:
            if source != "cached":
                raise
            print_warning(f"the engine of {graph!r} in the cache cannot be loaded here; it is built again")
        content, _ = self._content(graph, again=True)
        return RunningGraph(self.flavour, graph, content)

    def _content(self, graph: str, *, again: bool = False) -> tuple[bytes, Source]:
        devices = (self._cache_device(self.device, self._kind),)
        keys = self._keys(self._bundle, graph, self.precision, devices, self._cache)
        path = self._file(self._bundle, graph, self.precision)
        return self._cache.get_or_build(keys, lambda: serialize(parse(self.flavour, path), rows=_ROWS), again=again)

    @classmethod
    def _cache_device(cls, name: str, kind: str) -> str:
        return kind if cls.flavour.portable else f"{name} {kind}"

    @classmethod
    def _file(cls, bundle: Bundle, graph: str, precision: Precision) -> Path:
        return graph_file(bundle, graph, precision, cls.flavour.forms)

    @classmethod
    def _keys(
        cls, bundle: Bundle, graph: str, precision: Precision, devices: Sequence[str], cache: EngineCache
    ) -> list[EngineKey]:
        file, flavour = cls._file(bundle, graph, precision), cls.flavour
        return [cache.key(flavour.name, flavour.version, device, precision, graph, file) for device in devices]


def _refuse_device(flavour: Flavour, device: str | None) -> None:
    if device is not None:
        raise ConfigError(
            f"{flavour.name} runs on the first GPU and takes no device, {device!r} was given; "
            f"choose another GPU with: CUDA_VISIBLE_DEVICES=1 ganspect … --backend {flavour.name}"
        )


def _find_gpu(flavour: Flavour) -> tuple[str, str]:
    """Return the GPU's name and kind.

    Raises:
        DeviceError: there is none, or no driver.
        MissingDependencyError: cuda-python is not installed.
    """
    ahead = f", or build ahead of time: ganspect build BUNDLE --target {flavour.name}:sm86" if flavour.portable else ""
    cure = f"use --backend onnxruntime{ahead}"
    try:
        ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise DeviceError(f"{flavour.product} needs an NVIDIA GPU, and here is no driver of one; {cure}") from error
    try:
        from ganspect.runtime.backends.tensorrt.cuda import gpu_kind
    except ImportError as error:
        raise MissingDependencyError(
            f"cuda-python is not installed; run: pip install 'ganspect[{flavour.extra}]'"
        ) from error
    try:
        return gpu_kind()
    except DeviceError as error:
        raise DeviceError(
            f"{flavour.product} needs an NVIDIA GPU, and CUDA shows none ({error}); see nvidia-smi, or {cure}"
        ) from error
