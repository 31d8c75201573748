"""Other forms of a bundle's graphs: rewritten for a runtime that is faster on them, or in a lower precision.

    search.onnx                 as joined, float32
    search.loop-weights.onnx    ONNX Runtime on a CPU
    search.phases.onnx          OpenVINO on a CPU
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
from ganspect.export.rewrites.phase_convolutions import rewrite_phase_convolutions

Rewrite: TypeAlias = Callable[[onnx.ModelProto], onnx.ModelProto]

FORMS: Mapping[str, tuple[Rewrite, ...]] = {
    "loop-weights": (move_loop_weights,),
    "phases": (rewrite_phase_convolutions,),
    "phases-bf16": (rewrite_phase_convolutions, partial(lower, precision="bf16")),
    "bf16": (partial(lower, precision="bf16"),),
    "fp16": (partial(lower, precision="fp16"),),
}
"""What makes each form of the plain graph, in order."""

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
    for form, rewrites in FORMS.items():
        rewritten = model
        for rewrite in rewrites:
            before, rewritten = rewritten, rewrite(rewritten)
            if not _differs(rewritten, before):
                break  # the form is the plain graph, or one with fewer rewrites
        else:
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


def _differs(rewritten: onnx.ModelProto, model: onnx.ModelProto) -> bool:
    def operators(given: onnx.ModelProto) -> list[str]:
        return [node.op_type for node in given.graph.node]

    return operators(rewritten) != operators(model) or _loops(rewritten) != _loops(model)


def _loops(model: onnx.ModelProto) -> list[tuple[int, list[str]]]:
    bodies = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [(len(body.initializer), [node.op_type for node in body.node]) for body in bodies]
