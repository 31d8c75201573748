"""OpenVINO on a CPU, an Intel GPU or an NPU: the fastest way on x86-64 processors.

with OpenVino(bundle, precision="bf16") as backend:
    outputs = backend.run("search", inputs)
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import CompiledModel, ConstOutput, Core, InferRequest, Tensor

from ganspect.bundle import Bundle
from ganspect.errors import BundleError, DeviceError, one_line
from ganspect.progress import print_warning
from ganspect.records import Precision
from ganspect.runtime.backends.backend import Arrays, Backend
from ganspect.runtime.backends.forms import Forms, graph_file, held_precisions, require_precision
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.engines import Array, BuiltEngine, EngineCache, EngineKey, Port

# One for the process, and never let go. The CPU plugin gives the thread that loads it a stack for its signals, and
# frees it when its core goes: in another thread, or in another order than they came, that thread is left with a stack
# that is not there, and its next signal, such as a Ctrl-C, ends the process.
_core = Core()

_CPU = "CPU"
CPU_FORMS: Forms = {"fp32": ("phases",), "bf16": ("phases-bf16", "bf16"), "int8": ("int8",)}
_OTHER_FORMS: Forms = {"fp32": (), "fp16": ("fp16",), "int8": ("int8",)}
_CAPABILITIES: dict[Precision, str] = {"bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


class OpenVino(Backend):
    """Runs a bundle's graphs in OpenVINO; compiled graphs are taken from the bundle's engines where they are there.

    Attributes:
        name: `openvino`, with the device where it is not the CPU.
        version: of the openvino package.
        precision: of the convolutions, as the graphs say it; OpenVINO itself lowers nothing.
        device: its full name.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        tuning: Tuning = LATENCY,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> None:
        """Prepare to load graphs; see `open_backend` for what is raised.

        Args:
            bundle: an opened bundle.
            tuning: threads, of the CPU.
            precision: of the convolutions.
            device: OpenVINO's name: `CPU` (None), `GPU`, `NPU`, `GPU.1`.
        """
        self._kind = device or _CPU
        self._forms = _forms(self._kind)
        _require_device(self._kind)
        require_precision(bundle, precision, self._forms, f"OpenVINO on {self._kind}")
        self.device = str(_core.get_property(self._kind, "FULL_DEVICE_NAME"))
        _require_capability(self._kind, precision, self.device)
        self.name = "openvino" if self._kind == _CPU else f"openvino:{self._kind}"
        self.version = _version()
        self.precision: Precision = precision
        self._bundle = bundle
        self._options = compile_options(self._kind, tuning)
        self._cache = EngineCache(bundle)
        self._requests: dict[str, InferRequest] = {}
        self._contents: list[Tensor] = []

    @classmethod
    def offers(cls, bundle: Bundle, device: str | None = None) -> tuple[Precision, ...]:
        """Return the precisions that the bundle has graphs of and this device computes by itself, fp32 first.

        Raises:
            DeviceError: OpenVINO does not see the device.
        """
        kind = device or _CPU
        _require_device(kind)
        can = _core.get_property(kind, "OPTIMIZATION_CAPABILITIES")
        held = held_precisions(bundle, _forms(kind))
        return tuple(precision for precision in held if precision == "fp32" or _CAPABILITIES[precision] in can)

    @classmethod
    def build(
        cls,
        bundle: Bundle,
        graph: str,
        *,
        precision: Precision = "fp32",
        device: str | None = None,
        cache: EngineCache,
        again: bool = False,
    ) -> BuiltEngine:
        """Compile a graph and keep it in the bundle's engines, or find it there.

        Args:
            bundle: an opened bundle.
            graph: its name.
            precision: of the convolutions.
            device: OpenVINO's name; None: the CPU.
            cache: of the bundle's engines.
            again: compile it whatever the cache has.

        Raises:
            GanspectError: as the constructor, and `compile`.
        """
        with cls(bundle, precision=precision, device=device) as backend:
            begin_ns = time.perf_counter_ns()
            exported = lambda: bytes(backend.compile(graph).export_model().getbuffer())  # noqa: E731
            content, source = cache.get_or_build([backend.key(graph)], exported, again=again)
            try:
                inputs, outputs = _ports(backend.imported(np.frombuffer(bytearray(content), np.uint8)))
            except RuntimeError:
                print_warning(f"the engine of {graph!r} in the cache cannot be loaded here; it is built again")
                content, source = cache.get_or_build([backend.key(graph)], exported, again=True)
                inputs, outputs = _ports(backend.imported(np.frombuffer(bytearray(content), np.uint8)))
            return BuiltEngine(
                graph=graph,
                precision=precision,
                inputs=inputs,
                outputs=outputs,
                size_bytes=len(content),
                seconds=(time.perf_counter_ns() - begin_ns) / 1e9,
                source=source,
            )

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph; see `ganspect.runtime.backends.backend.Backend.run`."""
        request = self._requests.get(graph)
        if request is None:
            request = self._requests[graph] = self.load(graph).create_infer_request()
        results = request.infer(dict(inputs), share_inputs=True)
        names = self._bundle.manifest.graphs[graph].outputs
        return dict(zip(names, results.to_tuple(), strict=True))

    def load(self, graph: str) -> CompiledModel:
        """Return a graph from the bundle's engines, or compiled anew where they have none for this device.

        Raises:
            BundleError: the bundle has no such graph, or OpenVINO cannot compile it.
        """
        content = self._cache.mapped(self.key(graph))
        if content is not None:
            try:
                return self.imported(content)
            except RuntimeError:
                print_warning(f"the engine of {graph!r} in the cache cannot be loaded here; the graph is compiled")
        return self.compile(graph)

    def compile(self, graph: str) -> CompiledModel:
        """Compile a graph from its ONNX file."""
        path = self._file(graph)
        try:
            return _core.compile_model(str(path), self._kind, self._options)
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO {self.version} cannot compile {path} for {self._kind} ({one_line(error)}); "
                "upgrade it with: pip install -U openvino"
            ) from error

    def imported(self, content: Array) -> CompiledModel:
        """Return a graph as `export_model` wrote it; its weights stay where (size,) uint8 `content` lies."""
        tensor = Tensor(content, shared_memory=True)
        # OpenVINO does not hold on to it, and a model whose weights are gone ends the process.
        self._contents.append(tensor)
        return _core.import_model(tensor, self._kind, self._options)

    def key(self, graph: str) -> EngineKey:
        """Return under which key an engine of this graph is kept."""
        device = f"{self._kind} {self.device}"
        return self._cache.key("openvino", self.version, device, self.precision, graph, self._file(graph))

    def close(self) -> None:
        """Free the compiled graphs."""
        self._requests.clear()
        self._contents.clear()

    def _file(self, graph: str) -> Path:
        return graph_file(self._bundle, graph, self.precision, self._forms)


def _forms(device: str) -> Forms:
    return CPU_FORMS if device == _CPU else _OTHER_FORMS


def compile_options(device: str, tuning: Tuning = LATENCY) -> dict[str, Any]:
    """Return what a graph is compiled with for a device."""
    # The graphs say where they compute in a lower precision; left to itself, OpenVINO takes bfloat16 for everything.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if device == _CPU:
        options["INFERENCE_NUM_THREADS"] = tuning.thread_count
    return options


def _require_device(device: str) -> None:
    if not any(device == known or known.startswith(f"{device}.") for known in _core.available_devices):
        raise DeviceError(
            f"OpenVINO sees no {device} here, only {', '.join(_core.available_devices)}; choose one of these as "
            "--backend openvino:DEVICE, or install the device's driver"
        )


def _require_capability(device: str, precision: Precision, name: str) -> None:
    can = _core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if precision != "fp32" and _CAPABILITIES[precision] not in can:
        raise DeviceError(
            f"{precision} was asked for, but {name} does not compute in it by itself ({device} offers "
            f"{', '.join(can)}); use --precision fp32"
        )


def _ports(model: CompiledModel) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return a graph's inputs and outputs; the model is gone before what its weights lie in."""
    return tuple(map(_port, model.inputs)), tuple(map(_port, model.outputs))


def _port(port: ConstOutput) -> Port:
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return Port(name=port.get_any_name(), dtype=port.get_element_type().to_dtype().name, shape=shape)


def _version() -> str:
    return str(openvino.__version__).partition("-")[0]
