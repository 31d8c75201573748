"""An engine on the GPU: buffers allocated once for the largest batch, one stream, a CUDA graph for single iterations.

Written from NVIDIA's documentation. Nobody has run it on a GPU yet; the tests put one in its place whose memory is the
host's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ganspect.errors import BundleError, DeviceError
from ganspect.runtime.backends.backend import Arrays
from ganspect.runtime.backends.tensorrt.cuda import Buffer, Recording, checked, cudart
from ganspect.runtime.backends.tensorrt.flavour import Flavour, Messages


@dataclass(frozen=True)
class _Tensor:
    """An input or output of the engine; `host` takes the place of `buffer` where TensorRT reads a value on the host."""

    name: str
    dtype: np.dtype[Any]
    is_input: bool
    largest: tuple[int, ...]
    buffer: Buffer | None
    host: np.ndarray[Any, np.dtype[Any]] | None


class RunningGraph:
    """A graph that can be run; not from two threads at once."""

    def __init__(self, flavour: Flavour, graph: str, content: bytes) -> None:
        """Load an engine.

        Args:
            flavour: that built it.
            graph: its name in the bundle.
            content: the serialized engine.

        Raises:
            DeviceError: the engine is not for this GPU or version, or the GPU has too little memory.
        """
        self._graph = graph
        self._messages = Messages(flavour.api)
        self._runtime = flavour.api.Runtime(self._messages.logger)
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise DeviceError(
                f"{flavour.product} {flavour.version} cannot load the engine of {graph!r} ({self._messages.first()}); "
                "update the GPU's driver, or use --backend onnxruntime"
            )
        self._engine = engine
        # Only single iterations: TensorRT cannot record the search's Loop. RTX does so by itself, when it has compiled
        # the kernels of a shape.
        single = graph == "step"
        self._context = _context(flavour.api, engine, records=single and flavour.portable)
        self._records = single and not flavour.portable
        self._recordings: dict[tuple[tuple[int, ...], ...], Recording] = {}
        self._stream = checked(cudart.cudaStreamCreate())
        self._tensors = self._allocate(flavour.api)

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph; see `ganspect.runtime.backends.backend.Backend.run`."""
        held = {tensor.name: self._put(tensor, inputs[tensor.name]) for tensor in self._tensors if tensor.is_input}
        self._execute(tuple(array.shape for array in held.values()))
        outputs = {tensor.name: self._take(tensor) for tensor in self._tensors if not tensor.is_input}
        # `held` keeps what is copied alive until here.
        checked(cudart.cudaStreamSynchronize(self._stream))
        return outputs | {name: host.copy() for name, host in self._on_host() if name in outputs}

    def close(self) -> None:
        """Free the GPU's memory."""
        for recording in self._recordings.values():
            recording.free()
        for tensor in self._tensors:
            if tensor.buffer is not None:
                tensor.buffer.free()
        checked(cudart.cudaStreamDestroy(self._stream))
        self._recordings, self._tensors = {}, []

    def _allocate(self, api: Any) -> list[_Tensor]:
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == api.TensorIOMode.INPUT]
        for name in inputs:
            if -1 in tuple(self._engine.get_tensor_shape(name)):
                self._context.set_input_shape(name, self._engine.get_tensor_profile_shape(name, 0)[2])
        return [self._tensor(api, name, name in inputs) for name in names]

    def _tensor(self, api: Any, name: str, is_input: bool) -> _Tensor:
        # An output's shape follows from the inputs', which are set to their largest here.
        largest = tuple(self._context.get_tensor_shape(name))
        dtype = np.dtype(api.nptype(self._engine.get_tensor_dtype(name)))
        if self._engine.get_tensor_location(name) == api.TensorLocation.HOST:
            host = np.zeros(largest, dtype)
            self._context.set_tensor_address(name, host.ctypes.data)
            return _Tensor(name, dtype, is_input, largest, None, host)
        buffer = Buffer(int(np.prod(largest, dtype=np.int64)) * dtype.itemsize)
        self._context.set_tensor_address(name, buffer.address)
        return _Tensor(name, dtype, is_input, largest, buffer, None)

    def _put(self, tensor: _Tensor, values: Any) -> np.ndarray[Any, np.dtype[Any]]:
        # np.ascontiguousarray would give a scalar an axis.
        array = np.asarray(values, tensor.dtype, order="C")
        if array.ndim != len(tensor.largest) or any(np.array(array.shape) > np.array(tensor.largest)):
            raise BundleError(
                f"the engine of {self._graph!r} takes {tensor.name!r} of at most {list(tensor.largest)}, "
                f"{list(array.shape)} was given; give fewer rows at once"
            )
        if tensor.host is not None:
            tensor.host[...] = array
        elif tensor.buffer is not None:
            self._context.set_input_shape(tensor.name, array.shape)
            tensor.buffer.fill(array, self._stream)
        return array

    def _execute(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        if shapes in self._recordings:
            self._recordings[shapes].launch(self._stream)
            return
        self._enqueue()
        # The first run of a shape is no recording: TensorRT finishes work on the host in it.
        if self._records:
            try:
                self._recordings[shapes] = Recording(self._enqueue, self._stream)
            except DeviceError:
                self._records = False

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._stream)):
            raise DeviceError(
                f"the GPU cannot run {self._graph!r} ({self._messages.first()}); see with nvidia-smi that it has "
                "memory left, or use --backend onnxruntime"
            )

    def _take(self, tensor: _Tensor) -> np.ndarray[Any, np.dtype[Any]]:
        output = np.empty(tuple(self._context.get_tensor_shape(tensor.name)), tensor.dtype)
        if tensor.buffer is not None:
            tensor.buffer.read(output, self._stream)
        return output

    def _on_host(self) -> list[tuple[str, np.ndarray[Any, np.dtype[Any]]]]:
        return [(tensor.name, tensor.host) for tensor in self._tensors if tensor.host is not None]


def _context(api: Any, engine: Any, *, records: bool) -> Any:
    if not records:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config)
