"""ONNX Runtime with TensorRT behind it: nodes that TensorRT takes become engines, the rest runs in CUDA.

with OnnxRuntimeTensorRt(bundle, precision="fp16") as backend:
    outputs = backend.run("search", inputs)

The engines are kept in the bundle, in `engines/onnxruntime-tensorrt`, one folder for each version, precision and GPU.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from ganspect.errors import OutputError
from ganspect.files import require_writable
from ganspect.records import Precision
from ganspect.runtime.backends.onnxruntime_cuda import OnnxRuntimeCuda
from ganspect.runtime.engines import ENGINES_FOLDER

MAX_ROWS = 64
"""Rows of the largest batch that the engines are built for; `LatentSearch` makes no larger ones."""

_ON_TILES = ("score", "step", "search")
"""Graphs whose `image` is uint8 (N,H,W,C)."""


class OnnxRuntimeTensorRt(OnnxRuntimeCuda):
    """Runs a bundle's graphs in ONNX Runtime's TensorRT provider, and in CUDA what that does not take.

    Attributes:
        name: `onnxruntime-tensorrt`.
        provider: of ONNX Runtime.
    """

    name = "onnxruntime-tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"

    def _providers(self, graph: str, options: dict[str, str]) -> list[Any]:
        tensorrt = {
            "device_id": str(self._place.index),
            **self._cache(),
            **self._profile(graph),
            **_builder_flags(self.precision),
        }
        if options.get("enable_cuda_graph") == "1":
            tensorrt["trt_cuda_graph_enable"] = "1"
        return [("TensorrtExecutionProvider", tensorrt), *super()._providers(graph, options)]

    def _cache(self) -> dict[str, str]:
        folder = self.engines_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            require_writable(folder)
        except (OSError, OutputError):
            return {}  # a bundle that cannot be written: engines are built at every start
        return {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }

    def engines_folder(self) -> Path:
        """Return where the engines of this ONNX Runtime, precision and GPU are kept.

        ONNX Runtime's documentation asks to remove engines when the model, its own version, TensorRT's or the GPU
        changes. The folder's name has all of these that can be known here; another bundle's graphs are in its manifest.
        """
        graphs = self._bundle.manifest_sha256[:12]
        key = re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.version}-{self.precision}-{self.device}-{graphs}").strip("-")
        return self._bundle.folder / ENGINES_FOLDER / self.name / key

    def _profile(self, graph: str) -> dict[str, str]:
        """Return the batches that the engines take, from 1 to `MAX_ROWS`; {}: the provider goes by what it sees."""
        if graph not in _ON_TILES:
            return {}
        return {
            f"trt_profile_{which}_shapes": ",".join(
                f"{name}:{dims}" for name, dims in self._shapes(graph, rows).items()
            )
            for which, rows in (("min", 1), ("opt", 1), ("max", MAX_ROWS))
        }

    def _shapes(self, graph: str, rows: int) -> dict[str, str]:
        """Return the shapes of a graph's inputs that have a batch, as TensorRT writes them."""
        manifest = self._bundle.manifest
        sizes = (*manifest.image.size_hw, manifest.image.channels)
        shapes = {
            "image": (rows, *sizes),
            **dict.fromkeys(("latent", "adam_m", "adam_v", "best_latent"), (rows, manifest.latent.size)),
            **dict.fromkeys(("step", "best_score", "part"), (rows,)),
        }
        inputs = manifest.graphs[graph].inputs
        return {name: "x".join(map(str, shape)) for name, shape in shapes.items() if name in inputs}


def _builder_flags(precision: Precision) -> dict[str, str]:
    """Return what lets engines have float16: TensorRT 10 wants a flag beside the graph's types, 11 has none."""
    try:
        major = int(version("tensorrt").partition(".")[0])
    except PackageNotFoundError:  # a TensorRT that pip does not know, as JetPack 6 has: version 10
        major = 10
    return {"trt_fp16_enable": "1"} if precision == "fp16" and major < 11 else {}
