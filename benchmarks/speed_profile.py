"""Where the time of one search iteration goes, operator by operator, as each runtime itself counts it.

The runtimes count by nodes only outside of loops, so the step graph is run, which is the loop's body with f(x) before
it; the nodes of f(x) are left out. Counting costs time of its own, so the sums are a little over the timings.

python benchmarks/speed.py --out DIR     # takes the profile at its end
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from openvino import Core

from ganspect.bundle import Bundle
from ganspect.runtime.backends.forms import graph_file
from ganspect.runtime.backends.openvino_devices import CPU_FORMS, OpenVino, compile_options
from ganspect.runtime.rows import Rows

BATCHES = (1, 16)
_RUNS, _WARM_UP = 25, 5
_ONCE = ("prepare_", "features", "logit", "anchor", "x_")
"""How nodes are called that a search computes once for an image; some runtimes call them by what they compute."""

_KINDS = {
    "convolutions": ("Convolution", "Conv", "ConvTranspose", "FusedConv"),
    "linear layers": ("FullyConnected", "MatMul", "Gemm", "FusedGemm"),
    "layout and type": (
        *("Reorder", "Convert", "Cast", "Concat", "DepthToSpace", "Slice", "Reshape", "Transpose"),
        *("ReorderInput", "ReorderOutput", "Unsqueeze", "Squeeze", "Expand", "Broadcast"),
    ),
}
_NOTHING = ("Parameter", "Result", "Constant", "Input", "Output")
_REST = "activations, masks, loss, score, Adam"
KINDS = (*_KINDS, _REST)


def profile(bundle: Bundle) -> list[dict[str, Any]]:
    """Return, for each runtime, precision and batch, the ms and the number of nodes of each kind in one iteration."""
    found = []
    for batch in BATCHES:
        inputs = _inputs(bundle, batch)
        found.append(_entry("onnxruntime", "fp32", batch, _of_onnxruntime(bundle.graph_path("step"), inputs)))
        for precision in OpenVino.offers(bundle):
            if precision != "int8":  # searches in float32
                nodes = _of_openvino(graph_file(bundle, "step", precision, CPU_FORMS), inputs)
                found.append(_entry("openvino", precision, batch, nodes))
    return found


def _inputs(bundle: Bundle, batch: int) -> dict[str, Any]:
    record = bundle.manifest
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (batch, *record.image.size_hw, record.image.channels), np.uint8)
    rows = Rows(tiles, random.standard_normal((batch, 1, record.latent.size)).astype(np.float32))
    given = {**rows.take(np.arange(batch)), **bundle.pixel_inputs("step")}
    return {**given, "threshold": np.asarray(-np.inf, np.float32)}


_Nodes = Mapping[str, tuple[str, list[float]]]
"""A node's operator and its ms in each run, by the node's name."""


def _of_openvino(path: Path, inputs: Mapping[str, Any]) -> _Nodes:
    options = {**compile_options("CPU"), "PERF_COUNT": "YES"}
    request = Core().compile_model(path, "CPU", options).create_infer_request()
    nodes: dict[str, tuple[str, list[float]]] = {}
    for run in range(_RUNS):
        request.infer(dict(inputs), share_inputs=True)
        for node in request.get_profiling_info() if run >= _WARM_UP else ():
            ms = node.real_time.total_seconds() * 1e3
            nodes.setdefault(node.node_name, (node.node_type, []))[1].append(ms)
    return nodes


def _of_onnxruntime(path: Path, inputs: Mapping[str, Any]) -> _Nodes:
    with tempfile.TemporaryDirectory(prefix="ganspect-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(_RUNS):
            session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes: dict[str, tuple[str, list[float]]] = {}
    for name, operator, ms in _kernels(events):
        nodes.setdefault(name, (operator, []))[1].append(ms)
    return {name: (operator, times[_WARM_UP:]) for name, (operator, times) in nodes.items()}


def _kernels(events: list[dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    suffix = "_kernel_time"
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(suffix):
            yield event["name"].removesuffix(suffix), event["args"]["op_name"], event["dur"] / 1e3


def _entry(backend: str, precision: str, batch: int, nodes: _Nodes) -> dict[str, Any]:
    ms, count = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
    for name, (operator, times) in nodes.items():
        if name.startswith(_ONCE) or operator in _NOTHING:
            continue
        typical = median(times)
        kind = next((kind for kind, operators in _KINDS.items() if operator in operators), _REST)
        ms[kind] += typical
        count[kind] += 1
    return {
        "backend": backend,
        "precision": precision,
        "batch": batch,
        "ms": {kind: round(value, 3) for kind, value in ms.items()},
        "nodes": count,
    }
