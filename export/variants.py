"""Other forms of a bundle's graphs: rewritten for a runtime that is faster on them, or in a lower precision.

    search.onnx                 as joined, float32
    search.loop-weights.onnx    ONNX Runtime on a CPU
    search.phases.onnx          OpenVINO on a CPU: transposed convolutions taken apart, images in planes
    search.phases-bf16.onnx     the same with its convolutions in bfloat16
    search.bf16.onnx, search.fp16.onnx    TensorRT, GPUs
    score.int8.onnx, score.int8-symmetric.onnx    only on request; see `ganspect.export.precision.int8`

All forms read the same weights file; each is a few ten kilobytes of nodes, and the int8 ones have their int8 weights
too. Which form a backend takes is in `ganspect.runtime.backends`, and follows from docs/performance.md.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import onnx

from ganspect.errors import VerificationError
from ganspect.export.precision.lowering import lower
from ganspect.export.rewrites.loop_weights import move_loop_weights
from ganspect.export.rewrites.overlap_add import rewrite_overlap_add
from ganspect.export.rewrites.phase_convolutions import rewrite_phase_convolutions
from ganspect.export.rewrites.planar_images import rewrite_planar_images

Rewrite: TypeAlias = Callable[[onnx.ModelProto], onnx.ModelProto]

_PHASES = (rewrite_overlap_add, rewrite_phase_convolutions, rewrite_planar_images)

FORMS: Mapping[str, tuple[Rewrite, ...]] = {
    "loop-weights": (move_loop_weights,),
    "phases": _PHASES,
    "bf16": (partial(lower, precision="bf16"),),
    "fp16": (partial(lower, precision="fp16"),),
    "phases-bf16": (*_PHASES, partial(lower, precision="bf16")),
}
"""What makes each form of the plain graph, in order; where two forms of a graph are the same, the first is written."""

EXACT_FORMS = ("loop-weights", "phases")
"""Forms that compute in float32 what the plain graph computes, up to rounding."""

INT8_FORMS = ("int8", "int8-symmetric")
"""Forms that need images to be made, and so are not among `FORMS`."""


def write_forms(graph: str, model: onnx.ModelProto, folder: Path) -> None:
    """Write every form of a graph that differs from it, beside it.

    Args:
        graph: its name.
        model: the plain graph; its weights may lie in a file of their own.
        folder: of the bundle.
    """
    written = [_shape(model)]
    for form, rewrites in FORMS.items():
        rewritten = model
        for rewrite in rewrites:
            rewritten = rewrite(rewritten)
        if (shape := _shape(rewritten)) not in written:  # else a form that is there says the same
            written.append(shape)
            onnx.save(rewritten, folder / file_name(graph, form))


def file_name(graph: str, form: str | None = None) -> str:
    """Return the file of a graph's form; None: of the plain one."""
    return f"{graph}.onnx" if form is None else f"{graph}.{form}.onnx"


def find_forms(graph: str, folder: Path) -> dict[str, str]:
    """Return the files of a graph's forms that a folder holds, by the form's name."""
    names = {form: file_name(graph, form) for form in (*FORMS, *INT8_FORMS)}
    return {form: name for form, name in names.items() if (folder / name).is_file()}


def check_forms(folder: Path) -> None:
    """Check that every form in a folder is valid ONNX; its weights must be there.

    Raises:
        VerificationError: one is not; says which.
    """
    for path in sorted(folder.glob("*.*.onnx")):
        check_form(path)


def check_form(path: Path) -> None:
    """Check that a form is valid ONNX; its weights must be there.

    Raises:
        VerificationError: it is not.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationError(f"{path.name} is not valid ONNX ({error}); report this with the recipe") from error


def _shape(model: onnx.ModelProto) -> list[object]:
    """Return what tells forms of one graph apart: operators in order, and a loop's, with how many constants it has."""
    bodies = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [_operators(model.graph), *((len(body.initializer), _operators(body)) for body in bodies)]


def _operators(graph: onnx.GraphProto) -> list[tuple[str, list[int]]]:
    return [(node.op_type, [entry.i for entry in node.attribute if entry.name == "to"]) for node in graph.node]
