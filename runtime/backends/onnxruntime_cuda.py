"""ONNX Runtime on an NVIDIA GPU: CUDA kernels, arrays that stay on the device, and CUDA graphs of single iterations.

with OnnxRuntimeCuda(bundle, precision="fp16") as backend:
    outputs = backend.run("search", inputs)           # the search graph: its Loop asks the host before each iteration
    outputs = backend.run_search_by_steps(inputs)     # the step graph, captured once and launched K times
"""

import subprocess
from typing import Any, ClassVar

import numpy as np
import onnxruntime

from ganspect.bundle import Bundle
from ganspect.errors import BundleError, ConfigError, DeviceError, one_line
from ganspect.records import Precision
from ganspect.runtime.backends.backend import Arrays, Backend
from ganspect.runtime.backends.forms import Forms, graph_file, held_precisions, require_precision
from ganspect.runtime.backends.onnxruntime_binding import BoundGraph, Place, StepLoop
from ganspect.runtime.backends.tuning import LATENCY, Tuning

_ERRORS_ONLY = 3
_FORMS: Forms = {"fp32": (), "fp16": ("fp16",)}


class OnnxRuntimeCuda(Backend):
    """Runs a bundle's graphs in ONNX Runtime's CUDA provider.

    Attributes:
        name: `onnxruntime-cuda`.
        version: of the onnxruntime-gpu package.
        precision: of the convolutions; float32 is float32, TF32 is off.
        device: the GPU's name.
        provider: of ONNX Runtime.
    """

    name = "onnxruntime-cuda"
    version: str = onnxruntime.__version__
    provider: ClassVar[str] = "CUDAExecutionProvider"
    _kind: ClassVar[str] = "cuda"
    _options: ClassVar[dict[str, str]] = {
        "use_tf32": "0",
        # Batches shrink while tiles are done: an exhaustive search of algorithms would stop the line at each new size.
        "cudnn_conv_algo_search": "HEURISTIC",
    }

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
            tuning: no notice is taken of it.
            precision: of the convolutions.
            device: the GPU's number; None: 0.
        """
        require_precision(bundle, precision, _FORMS, "ONNX Runtime on a GPU")
        self._place = self._open(device)
        self.precision: Precision = precision
        self.device = device_name(self._place)
        self._bundle = bundle
        self._graphs: dict[str, BoundGraph] = {}
        self._loop: StepLoop | None = None

    @classmethod
    def offers(cls, bundle: Bundle, device: str | None = None) -> tuple[Precision, ...]:
        """Return the precisions that the bundle has graphs of, fp32 first.

        Raises:
            DeviceError: there is no such GPU, or this ONNX Runtime cannot use it.
        """
        cls._open(device)
        return held_precisions(bundle, _FORMS)

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph; see `ganspect.runtime.backends.backend.Backend.run`."""
        bound = self._graphs.get(graph)
        if bound is None:
            bound = self._graphs[graph] = BoundGraph(self._load(graph), self._place)
        return bound.run(inputs)

    @property
    def captures(self) -> bool | None:
        """Return whether `run_steps` launches CUDA graphs; None before its first run."""
        return None if self._loop is None else self._loop.capture

    def run_steps(self, inputs: Arrays, steps: int) -> Arrays:
        """Take up to `steps` iterations of the step graph; see `StepLoop.run`.

        Raises:
            BundleError: the engine cannot load the step graph.
        """
        if self._loop is None:
            self._loop = self._load_loop()
        return self._loop.run(inputs, steps)

    def run_search_by_steps(self, inputs: Arrays) -> Arrays:
        """Return what the search graph returns, but take its iterations by the step graph.

        Args:
            inputs: of the search graph, `steps` among them.
        """
        steps = int(inputs["steps"])
        state = self.run_steps({name: array for name, array in inputs.items() if name != "steps"}, steps)
        found = {name.removesuffix("_out"): array for name, array in state.items()}
        # With no steps left, the search graph only makes the reconstruction and residual of the best.
        return self.run("search", {**inputs, **found, "steps": np.asarray(0, np.int64)})

    def close(self) -> None:
        """Free the sessions and what they have on the device."""
        self._graphs.clear()
        self._loop = None

    @classmethod
    def _open(cls, device: str | None) -> Place:
        if device is not None and not device.isdecimal():
            raise ConfigError(f"{cls.name} takes the number of a GPU, not {device!r}; write for instance {cls.name}:0")
        cls._require_provider()
        place = Place(cls._kind, int(device or 0))
        try:
            place.room_for(np.zeros(1, np.float32))
        except RuntimeError as error:
            raise DeviceError(
                f"GPU {place.index} was asked for, but ONNX Runtime {cls.version} cannot use it "
                f"({one_line(error)}); look at nvidia-smi, and install CUDA and cuDNN with: "
                "pip install 'onnxruntime-gpu[cuda,cudnn]'"
            ) from error
        return place

    @classmethod
    def _require_provider(cls) -> None:
        offered = onnxruntime.get_available_providers()
        if cls.provider not in offered:
            raise DeviceError(
                f"{cls.name} needs ONNX Runtime's {cls.provider}, but the one installed here offers only "
                f"{', '.join(offered)}; run: pip uninstall -y onnxruntime onnxruntime-gpu && "
                "pip install 'ganspect[gpu]' (on a Jetson: the onnxruntime-gpu wheel of your JetPack)"
            )
        if cls._kind == "cuda" and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip put them

    def _load(self, graph: str, **options: str) -> onnxruntime.InferenceSession:
        path = graph_file(self._bundle, graph, self.precision, _FORMS)
        try:
            # Without enable_fallback=0 a provider that fails is replaced by the CPU, with no more than a line of print.
            session = onnxruntime.InferenceSession(
                str(path), _session_options(), providers=self._providers(graph, options), enable_fallback=0
            )
        except Exception as error:  # the engine's errors have no common base of their own
            raise BundleError(
                f"ONNX Runtime {self.version} cannot load {path} in {self.provider} ({one_line(error)}); "
                "run 'ganspect doctor', or use --backend onnxruntime"
            ) from error
        if self.provider not in session.get_providers():
            raise DeviceError(
                f"{self.provider} was asked for, but ONNX Runtime {self.version} fell back to "
                f"{', '.join(session.get_providers())}: a CUDA, cuDNN or TensorRT library is missing or of another "
                "version; run: pip install 'onnxruntime-gpu[cuda,cudnn]'"
            )
        return session

    def _load_loop(self) -> StepLoop:
        if self._kind == "cuda":
            captured = {"enable_cuda_graph": "1", "use_ep_level_unified_stream": "1"}
            try:
                return StepLoop(self._load("step", **captured), self._place, capture=True)
            except BundleError:  # a node on the CPU, or an ONNX Runtime that cannot capture: launched one by one then
                pass
        return StepLoop(self._load("step"), self._place, capture=False)

    def _providers(self, graph: str, options: dict[str, str]) -> list[Any]:
        if self._kind == "cpu":
            return [self.provider]
        cuda = {"device_id": str(self._place.index), **self._options, **options}
        return [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]


def device_name(place: Place) -> str:
    """Return a GPU's name as the driver gives it, or `cuda:0` where nvidia-smi is not there."""
    if place.kind != "cuda":
        return place.kind.upper()
    command = ["nvidia-smi", f"--id={place.index}", "--query-gpu=name", "--format=csv,noheader"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return f"cuda:{place.index}"
    return ended.stdout.strip() or f"cuda:{place.index}"


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # only what reads shapes runs on the CPU
    options.log_severity_level = _ERRORS_ONLY
    return options
