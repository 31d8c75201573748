"""ONNX Runtime on the CPU: the backend that every machine can run.

with OnnxRuntimeCpu(bundle, threads=2) as backend:
    outputs = backend.run("encoder", {"image": images})
"""

import os
from types import TracebackType

import onnxruntime

from ganspect.bundle import Bundle
from ganspect.errors import BundleError
from ganspect.runtime.backends.backend import Arrays

_ERRORS_ONLY = 3


class OnnxRuntimeCpu:
    """Runs a bundle's graphs in ONNX Runtime's CPU provider.

    Attributes:
        name: `onnxruntime`.
        version: of the onnxruntime package.
    """

    name = "onnxruntime"
    version: str = onnxruntime.__version__

    def __init__(self, bundle: Bundle, *, threads: int | None = None, spinning: bool = True) -> None:
        """Prepare to load graphs.

        Args:
            bundle: an opened bundle.
            threads: within one operator; None: as many as this process may run on.
            spinning: idle threads wait in a busy loop for a moment: lower latency, more power.
        """
        self._bundle = bundle
        self._threads = threads or len(os.sched_getaffinity(0))
        self._spinning = spinning
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph; see `ganspect.runtime.backends.backend.Backend.run`."""
        session = self._sessions.get(graph)
        if session is None:
            session = self._sessions[graph] = self._load(graph)
        names = self._bundle.manifest.graphs[graph].outputs
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def close(self) -> None:
        """Free the sessions."""
        self._sessions.clear()

    def __enter__(self) -> "OnnxRuntimeCpu":
        """Return the backend."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the sessions."""
        self.close()

    def _load(self, graph: str) -> onnxruntime.InferenceSession:
        path = self._bundle.graph_path(graph)
        try:
            return onnxruntime.InferenceSession(str(path), self._options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # the engine's errors have no common base of their own
            raise BundleError(
                f"ONNX Runtime {self.version} cannot load {path} ({' '.join(str(error).split())}); "
                "upgrade it with: pip install -U onnxruntime"
            ) from error

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # The graphs are chains: operators side by side would only take the threads of the one that matters.
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._spinning else "0")
        return options
