"""A stand-in for a GPU: CUDA calls whose device memory is the host's, and a TensorRT whose engines ONNX Runtime runs.

What is put into a stream happens when the stream is synchronised, so that an array that did not live long enough, or an
output that is read too early, shows. An engine's content is the path of its ONNX file.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

Work = Callable[[], object]
SUCCESS, FAILURE = 0, 2
LARGEST_BATCH = 8
STREAM = 77


class HostCuda:
    """The functions of `cuda.bindings.runtime` that are used, each returning a status first."""

    cudaError_t = SimpleNamespace(cudaSuccess=SUCCESS)  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815
    cudaDeviceAttr = SimpleNamespace(cudaDevAttrComputeCapabilityMajor=75, cudaDevAttrComputeCapabilityMinor=76)  # noqa: N815

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.pending: list[Work] = []
        self.recording: list[Work] | None = None
        self.launches = 0
        self.can_record = True

    def enqueue(self, work: Work) -> None:
        (self.pending if self.recording is None else self.recording).append(work)

    def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return SUCCESS, ctypes.addressof(block)

    def cudaFree(self, address: int) -> tuple[int]:  # noqa: N802
        del self.memory[address]
        return (SUCCESS,)

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:  # noqa: N802
        device = to if kind == 1 else source
        assert size <= len(self.memory[device])
        assert stream == STREAM
        self.enqueue(lambda: ctypes.memmove(to, source, size))
        return (SUCCESS,)

    def cudaStreamCreate(self) -> tuple[int, int]:  # noqa: N802
        return SUCCESS, STREAM

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:  # noqa: N802
        return (SUCCESS,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:  # noqa: N802
        for work in self.pending:
            work()
        self.pending.clear()
        return (SUCCESS,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:  # noqa: N802
        self.recording = []
        return (SUCCESS,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, Any]:  # noqa: N802
        recorded, self.recording = self.recording, None
        return (SUCCESS, recorded) if self.can_record else (FAILURE, None)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[int, Any]:  # noqa: N802
        return SUCCESS, graph

    def cudaGraphDestroy(self, graph: Any) -> tuple[int]:  # noqa: N802
        return (SUCCESS,)

    def cudaGraphExecDestroy(self, graph: Any) -> tuple[int]:  # noqa: N802
        return (SUCCESS,)

    def cudaGraphLaunch(self, graph: list[Work], stream: int) -> tuple[int]:  # noqa: N802
        self.launches += 1
        self.pending += graph
        return (SUCCESS,)

    def cudaSetDevice(self, device: int) -> tuple[int]:  # noqa: N802
        return (SUCCESS,)

    def cudaGetErrorName(self, status: int) -> tuple[int, bytes]:  # noqa: N802
        return SUCCESS, b"cudaErrorOfSomeKind"

    def cudaDeviceGetAttribute(self, attribute: int, device: int) -> tuple[int, int]:  # noqa: N802
        return SUCCESS, 8 if attribute == 75 else 6

    def cudaGetDeviceProperties(self, device: int) -> tuple[int, Any]:  # noqa: N802
        return SUCCESS, SimpleNamespace(name=b"NVIDIA RTX A2000")


class _Logger:
    ERROR = 1


class _Engine:
    def __init__(self, cuda: HostCuda, path: Path, on_host: frozenset[str]) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.cuda, self.on_host = cuda, on_host
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = {value.name: value for value in self.session.get_outputs()}
        # Not in the graph's order, and outputs among inputs: nothing may rely on it.
        self.names = sorted([*self.inputs, *self.outputs])
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self.inputs else "output"

    def get_tensor_dtype(self, name: str) -> str:
        return {"tensor(float)": "float32"}.get(kind := self._value(name).type, kind[7:-1])

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._value(name).shape)

    def get_tensor_location(self, name: str) -> str:
        return "host" if name in self.on_host else "device"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        shape = self.get_tensor_shape(name)
        return [tuple(n if size == -1 else size for size in shape) for n in (1, 4, LARGEST_BATCH)]

    def create_execution_context(self) -> "_Context":
        return _Context(self)

    def _value(self, name: str) -> Any:
        return self.inputs.get(name) or self.outputs[name]


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch = self._shapes["image"][0]
        return tuple(batch if size == -1 else size for size in self._engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == STREAM
        engine, shapes = self._engine, {name: self.get_tensor_shape(name) for name in self._engine.names}
        # What lies on the host is read when the work is given, as TensorRT does.
        now = {name: self._at(name, shapes[name]).copy() for name in engine.inputs if name in engine.on_host}

        def work() -> None:
            given = {name: now.get(name, self._at(name, shapes[name])) for name in engine.inputs}
            for name, array in zip(engine.outputs, engine.session.run(None, given), strict=True):
                self._at(name, shapes[name])[...] = array

        engine.cuda.enqueue(work)
        return True

    def _at(self, name: str, shape: tuple[int, ...]) -> Any:
        dtype = np.dtype(self._engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


def host_tensorrt(cuda: HostCuda, *, on_host: frozenset[str] = frozenset()) -> Any:
    """Return the module in the place of `tensorrt`; engines that are no path of a file are refused."""

    class Runtime:
        def __init__(self, logger: _Logger) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> _Engine | None:
            if Path(content.decode()).is_file():
                return _Engine(cuda, Path(content.decode()), on_host)
            self._logger.log(_Logger.ERROR, "IRuntime::deserialize: Error Code 1: wrong GPU (In here at /_src/a.cpp:3)")
            return None

    return SimpleNamespace(
        __version__="10.3.0",
        ILogger=_Logger,
        Runtime=Runtime,
        TensorIOMode=SimpleNamespace(INPUT="input", OUTPUT="output"),
        TensorLocation=SimpleNamespace(HOST="host", DEVICE="device"),
        nptype=np.dtype,
    )
