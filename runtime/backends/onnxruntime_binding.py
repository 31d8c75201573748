"""Arrays that stay on a device between the runs of an ONNX Runtime session, at fixed addresses for each shape.

    bound = BoundGraph(session, Place("cuda"))
    outputs = bound.run({"image": tiles})      # one copy there, one back; from the second run on nothing is allocated

    loop = StepLoop(step_session, Place("cuda"), capture=True)
    state = loop.run(inputs, steps=20)         # the state is on the device for all 20 iterations

Any device of ONNX Runtime will do, the CPU too: that is how this is tested where there is no GPU.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import onnxruntime

from ganspect.runtime.backends.backend import Arrays
from ganspect.scoring import cleared

CHECK_EVERY = 5
"""Iterations between two looks at the best scores: each makes the host wait for the device."""

_OUT = "_out"
_KEPT_SHAPES = 16
_ids = count(1)  # ONNX Runtime keeps 0 for itself

Values: TypeAlias = dict[str, Any]
"""onnxruntime.OrtValue by name."""

Shapes: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Place:
    """A device as ONNX Runtime names it.

    Attributes:
        kind: `cuda` or `cpu`.
        index: which of its kind, from 0.
    """

    kind: str
    index: int = 0

    def room_for(self, array: np.ndarray[Any, Any]) -> Any:
        """Return memory on the device for an array of this shape and dtype; its content is undefined."""
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, self.kind, self.index)

    def room_for_all(self, arrays: Arrays) -> Values:
        """Return memory on the device for arrays, by their names."""
        return {name: self.room_for(array) for name, array in arrays.items()}


class BoundGraph:
    """A session whose inputs and outputs have a place of their own on the device, for each shape of its inputs."""

    def __init__(self, session: onnxruntime.InferenceSession, place: Place) -> None:
        """Take a session.

        Args:
            session: of any graph.
            place: where its provider runs.
        """
        self._session = session
        self._place = place
        self._names = [output.name for output in session.get_outputs()]
        self._bound: OrderedDict[Shapes, tuple[Values, Any]] = OrderedDict()

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph; all its inputs by name, and all its outputs, in new arrays."""
        shapes = shapes_of(inputs)
        if is_new := shapes not in self._bound:
            forget_oldest(self._bound)
            self._bound[shapes] = self._bind(inputs)
        values, binding = self._bound[shapes]
        load(values, inputs)
        self._session.run_with_iobinding(binding)
        outputs = dict(zip(self._names, binding.get_outputs(), strict=True))
        if is_new:
            for name, value in outputs.items():
                binding.bind_ortvalue_output(name, value)
        return read(outputs)

    def _bind(self, inputs: Arrays) -> tuple[Values, Any]:
        values, binding = self._place.room_for_all(inputs), self._session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._names:
            # The sizes are not known before the first run, which allocates; later ones write to the same place.
            binding.bind_output(name, self._place.kind, self._place.index)
        return values, binding


class StepLoop:
    """Runs the step graph K times; each iteration reads what the one before it wrote, without leaving the device.

    There are two sets of state that take turns as input and output. A run may so be repeated, which ONNX Runtime does
    while it captures a CUDA graph, and no kernel reads what another one already overwrites.

    Attributes:
        capture: whether the runs are captured as CUDA graphs, two for each shape.
    """

    def __init__(self, session: onnxruntime.InferenceSession, place: Place, *, capture: bool) -> None:
        """Take a session of the step graph.

        Args:
            session: outputs `NAME_out` become inputs `NAME`.
            place: where its provider runs.
            capture: the session was made with `enable_cuda_graph`.
        """
        self.capture = capture
        self._session = session
        self._place = place
        self._carried = [output.name.removesuffix(_OUT) for output in session.get_outputs()]
        self._turns: OrderedDict[Shapes, _Turns] = OrderedDict()

    def run(self, inputs: Arrays, steps: int) -> Arrays:
        """Take up to `steps` iterations; ends early when every row's part is at or under the threshold.

        Args:
            inputs: all of the step graph: the image, the state, `threshold`, and pixel maps where it has them.
            steps: K, 0 or more.

        Returns:
            The state after them, `NAME_out`, in new arrays. Rows that are done are frozen in the graph, so a later end
            changes nothing.
        """
        shapes = shapes_of(inputs)
        if shapes not in self._turns:
            forget_oldest(self._turns)
            self._turns[shapes] = _Turns(self._session, self._place, inputs, self._carried, self.capture)
        turns = self._turns[shapes]
        turns.begin(inputs)
        may_end = bool(np.isfinite(inputs["threshold"]))
        for taken in range(1, steps + 1):
            looks = may_end and taken % CHECK_EVERY == 0
            turns.advance(wait=looks or taken == steps)
            if looks and bool(cleared(turns.best_score(), inputs["part"], inputs["threshold"]).all()):
                break
        return turns.state()


class _Turns:
    """What is on the device for one shape: two states, the rest of the inputs, and a binding for each direction."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        place: Place,
        inputs: Arrays,
        carried: list[str],
        capture: bool,
    ) -> None:
        carried_in = {name: inputs[name] for name in carried}
        self._session = session
        self._states = (place.room_for_all(carried_in), place.room_for_all(carried_in))
        self._rest = place.room_for_all({name: array for name, array in inputs.items() if name not in carried})
        self._bindings = (self._bind(0, 1), self._bind(1, 0))
        self._options = tuple(_RunOptions(capture, captured=next(_ids)) for _ in self._bindings)
        self._capture = capture
        self._now = 0

    def begin(self, inputs: Arrays) -> None:
        self._now = 0
        load(self._rest, inputs)
        load(self._states[0], inputs)

    def advance(self, *, wait: bool) -> None:
        # All launches of captured graphs go to one stream, in order, so only who reads has to wait.
        options = self._options[self._now].waiting if wait or not self._capture else self._options[self._now].going_on
        self._session.run_with_iobinding(self._bindings[self._now], options)
        self._now = 1 - self._now

    def best_score(self) -> np.ndarray[Any, Any]:
        return np.array(self._states[self._now]["best_score"].numpy())

    def state(self) -> Arrays:
        return {f"{name}{_OUT}": array for name, array in read(self._states[self._now]).items()}

    def _bind(self, source: int, target: int) -> Any:
        binding = self._session.io_binding()
        for name, value in (self._rest | self._states[source]).items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._states[target].items():
            binding.bind_ortvalue_output(f"{name}{_OUT}", value)
        return binding


class _RunOptions:
    """A captured graph's number as ONNX Runtime takes it, for runs that the host waits for and for others."""

    def __init__(self, capture: bool, captured: int) -> None:
        self.waiting, self.going_on = onnxruntime.RunOptions(), onnxruntime.RunOptions()
        if capture:
            for options in (self.waiting, self.going_on):
                options.add_run_config_entry("gpu_graph_id", str(captured))
            self.going_on.add_run_config_entry("disable_synchronize_execution_providers", "1")


def shapes_of(arrays: Arrays) -> Shapes:
    """Return the shapes of arrays, in the order of their names."""
    return tuple(arrays[name].shape for name in sorted(arrays))


def load(values: Values, arrays: Arrays) -> None:
    """Copy arrays to their places on the device."""
    for name, value in values.items():
        value.update_inplace(arrays[name])


def read(values: Mapping[str, Any]) -> Arrays:
    """Copy arrays from the device; on the CPU `numpy` alone gives the place itself, which the next run overwrites."""
    return {name: np.array(value.numpy()) for name, value in values.items()}


def forget_oldest(kept: "OrderedDict[Shapes, Any]") -> None:
    """Make room for one more shape: batches shrink while tiles are done, and the device's memory has an end."""
    while len(kept) >= _KEPT_SHAPES:
        kept.popitem(last=False)
