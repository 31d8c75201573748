"""From a parsed network to a serialized engine, with a progress bar that TensorRT moves.

content = serialize(parse(flavour, path), rows=64, kinds=("sm86", "sm120"))
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.progress import Progress, TaskID

from ganspect.errors import BundleError
from ganspect.progress import progress_bar
from ganspect.runtime.backends.tensorrt.parsing import Parsed

USUAL_ROWS = 16
"""Rows that kernels are tuned for; fewer and more are run with the same engine."""

_USUAL_STEPS = 10
_MOST_STEPS = 1 << 20


def serialize(parsed: Parsed, *, rows: int, kinds: Sequence[str] = ()) -> bytes:
    """Build an engine.

    Args:
        parsed: its network.
        rows: of a batch at most; from 1 on.
        kinds: of GPUs that it must serve, as `Flavour.kinds` names them; none: the one here.

    Raises:
        BundleError: TensorRT cannot build it.
    """
    config = parsed.builder.create_builder_config()
    _set_flags(parsed.flavour.api, config)
    _set_kinds(parsed, config, kinds)
    config.add_optimization_profile(_profile(parsed, rows))
    plan = _build(parsed, config)
    if plan is None:
        flavour = parsed.flavour
        raise BundleError(
            f"{flavour.product} {flavour.version} cannot build {parsed.path} ({parsed.messages.first()}); "
            "use --backend onnxruntime"
        )
    return bytes(plan)


def _build(parsed: Parsed, config: Any) -> Any:
    with progress_bar() as progress, ThreadPoolExecutor(1) as thread:
        task = progress.add_task(parsed.path.stem, total=None, detail="")
        config.progress_monitor = monitor = _monitor(parsed.flavour.api, progress, task)
        # In a thread: Python raises KeyboardInterrupt in the main one, so never inside TensorRT's calls to the monitor.
        building = thread.submit(parsed.builder.build_serialized_network, parsed.network, config)
        try:
            return building.result()
        finally:
            monitor.goes_on = False
            progress.update(task, detail="")


def _set_flags(api: Any, config: Any) -> None:
    # fp32 means fp32: TensorFloat-32 keeps 10 bits of the mantissa, as fp16 does.
    config.clear_flag(api.BuilderFlag.TF32)
    # 0 * x is not 0 where x is NaN: a NaN score must stay one, since NaN never clears. TensorRT 10.3 has no such flag.
    if hasattr(api.BuilderFlag, "STRICT_NANS"):
        config.set_flag(api.BuilderFlag.STRICT_NANS)


def _set_kinds(parsed: Parsed, config: Any, kinds: Sequence[str]) -> None:
    if not parsed.flavour.portable:
        return
    known = parsed.flavour.api.ComputeCapability
    targets = [getattr(known, kind.upper()) for kind in kinds] or [known.CURRENT]
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(target, index)


def _profile(parsed: Parsed, rows: int) -> Any:
    profile = parsed.builder.create_optimization_profile()
    for tensor in parsed.input_tensors():
        shape = tuple(tensor.shape)
        if tensor.is_shape_tensor:
            # What a loop counts up to is one in some versions; its values are bounded here instead of its shape.
            profile.set_shape_input(tensor.name, [0], [_USUAL_STEPS], [_MOST_STEPS])
        elif -1 in shape:
            counts = (1, min(USUAL_ROWS, rows), rows)
            profile.set_shape(tensor.name, *(tuple(n if size == -1 else size for size in shape) for n in counts))
    return profile


def _monitor(api: Any, progress: Progress, task: TaskID) -> Any:
    class Monitor(api.IProgressMonitor):  # type: ignore[misc]
        """Shows the outermost phase as the bar and the innermost as its detail; called from TensorRT's threads."""

        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self.goes_on = True
            self._outermost: str | None = None

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._outermost = phase
                progress.update(task, total=steps, completed=0)
            else:
                progress.update(task, detail=phase.lower())

        def step_complete(self, phase: str, step: int) -> bool:
            if phase == self._outermost:
                progress.update(task, completed=step + 1)
            return self.goes_on

        def phase_finish(self, phase: str) -> None:
            # The last step of a phase is not reported by itself.
            if phase == self._outermost:
                progress.update(task, completed=progress.tasks[task].total)

    return Monitor()
