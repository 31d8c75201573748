"""The few calls of CUDA that running an engine takes, each checked: cuda-python's runtime, no PyCUDA.

stream = checked(cudart.cudaStreamCreate())
"""

from typing import Any

from cuda.bindings import runtime as cudart

from ganspect.errors import DeviceError

__all__ = ["Buffer", "Recording", "checked", "cudart", "gpu_kind"]


def checked(result: tuple[Any, ...]) -> Any:
    """Return what a call of CUDA returned beside its status: None, or one value.

    Raises:
        DeviceError: the call failed.
    """
    if name := _failure(result):
        raise DeviceError(
            f"the GPU refused a call ({name}); see with nvidia-smi that it works and has memory left, "
            "or use --backend onnxruntime"
        )
    return result[1] if len(result) > 1 else None


def gpu_kind() -> tuple[str, str]:
    """Return the name of the first GPU and its compute capability as `sm86`.

    Raises:
        DeviceError: there is none, or the driver is older than cuda-python; CUDA's name of that is all it says.
    """
    if name := _failure(cudart.cudaSetDevice(0)):
        raise DeviceError(name)
    attribute = cudart.cudaDeviceAttr
    major = checked(cudart.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMajor, 0))
    minor = checked(cudart.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMinor, 0))
    return checked(cudart.cudaGetDeviceProperties(0)).name.decode(), f"sm{major}{minor}"


class Buffer:
    """Memory on the GPU.

    Attributes:
        address: of its first byte.
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        """Allocate; a size of 0 becomes 1, so that there is an address."""
        self.size = max(1, size)
        self.address = int(checked(cudart.cudaMalloc(self.size)))

    def fill(self, array: Any, stream: Any) -> None:
        """Copy a C-contiguous array of at most `size` bytes to the GPU, in the stream's order."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        checked(cudart.cudaMemcpyAsync(self.address, array.ctypes.data, array.nbytes, kind, stream))

    def read(self, array: Any, stream: Any) -> None:
        """Copy into a C-contiguous array, which is whole once the stream is synchronised."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        checked(cudart.cudaMemcpyAsync(array.ctypes.data, self.address, array.nbytes, kind, stream))

    def free(self) -> None:
        """Give the memory back."""
        checked(cudart.cudaFree(self.address))


class Recording:
    """A CUDA graph: what was enqueued once, launched by one call from then on."""

    def __init__(self, enqueue: Any, stream: Any) -> None:
        """Record what `enqueue()` puts into the stream; nothing of it runs.

        Raises:
            DeviceError: some of it cannot be recorded.
        """
        checked(cudart.cudaStreamBeginCapture(stream, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal))
        try:
            enqueue()
        finally:
            graph = checked(cudart.cudaStreamEndCapture(stream))
        self._launchable = checked(cudart.cudaGraphInstantiate(graph, 0))
        checked(cudart.cudaGraphDestroy(graph))

    def launch(self, stream: Any) -> None:
        """Run it."""
        checked(cudart.cudaGraphLaunch(self._launchable, stream))

    def free(self) -> None:
        """Give its memory back."""
        checked(cudart.cudaGraphExecDestroy(self._launchable))


def _failure(result: tuple[Any, ...]) -> str | None:
    if result[0] == cudart.cudaError_t.cudaSuccess:
        return None
    return str(cudart.cudaGetErrorName(result[0])[1].decode())
