"""ONNX Runtime on the CPU: the backend that every machine can run.

with OnnxRuntimeCpu(bundle) as backend:
    outputs = backend.run("encoder", {"image": images})
"""

import onnxruntime

from ganspect.bundle import Bundle
from ganspect.errors import BundleError, ConfigError, one_line
from ganspect.records import Precision
from ganspect.runtime.backends.backend import Arrays, Backend
from ganspect.runtime.backends.forms import Forms, graph_file, held_precisions, require_precision
from ganspect.runtime.backends.tuning import LATENCY, Tuning

_ERRORS_ONLY = 3
_FORMS: Forms = {"fp32": ("loop-weights",), "int8": ("int8",)}


class OnnxRuntimeCpu(Backend):
    """Runs a bundle's graphs in ONNX Runtime's CPU provider.

    Attributes:
        name: `onnxruntime`.
        version: of the onnxruntime package.
        precision: of the convolutions.
        device: `CPU`.
    """

    name = "onnxruntime"
    version: str = onnxruntime.__version__
    device = "CPU"

    def __init__(
        self,
        bundle: Bundle,
        *,
        tuning: Tuning = LATENCY,
        precision: Precision = "fp32",
        device: str | None = None,
        plain: bool = False,
    ) -> None:
        """Prepare to load graphs; see `open_backend` for what is raised.

        Args:
            bundle: an opened bundle.
            tuning: threads are within one operator.
            precision: of the convolutions.
            device: there is none but the CPU.
            plain: run the graphs as they were traced and compared with PyTorch, not a faster form: the reference.
        """
        if device not in (None, self.device):
            raise ConfigError(f"onnxruntime runs on the CPU, not on {device!r}; for a GPU use onnxruntime-cuda")
        require_precision(bundle, precision, _FORMS, "ONNX Runtime on a CPU")
        self.precision: Precision = precision
        self._bundle = bundle
        self._forms: Forms = {"fp32": ()} if plain else _FORMS
        self._tuning = tuning
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}

    @classmethod
    def offers(cls, bundle: Bundle, device: str | None = None) -> tuple[Precision, ...]:
        """Return the precisions that the bundle has graphs of, fp32 first."""
        return held_precisions(bundle, _FORMS)

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

    def _load(self, graph: str) -> onnxruntime.InferenceSession:
        path = graph_file(self._bundle, graph, self.precision, self._forms)
        try:
            return onnxruntime.InferenceSession(str(path), self._options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # the engine's errors have no common base of their own
            raise BundleError(
                f"ONNX Runtime {self.version} cannot load {path} ({one_line(error)}); "
                "upgrade it with: pip install -U onnxruntime"
            ) from error

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._tuning.thread_count
        # The graphs are chains: operators side by side would only take the threads of the one that matters.
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        options.enable_cpu_mem_arena = self._tuning.arena
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._tuning.spinning else "0")
        # Each graph has threads of its own; those of the one before would spin on while the next one already runs.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return options
