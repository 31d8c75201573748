"""One file of weights for all graphs of a bundle: equal tensors are stored once, by content."""

import hashlib
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

WEIGHTS = "weights.bin"
_INLINE_BYTES = 1024
_ALIGNMENT_BYTES = 64


class WeightFile:
    """Collects tensors and writes them; graphs then refer to them by offset.

    Attributes:
        tensors: how many different tensors it holds.
        size_bytes: of the file.
    """

    def __init__(self) -> None:
        """Start with no tensors."""
        self._places: dict[str, tuple[int, int]] = {}
        self._content = bytearray()

    @property
    def tensors(self) -> int:
        """Return how many different tensors the file holds."""
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """Return the size of the file."""
        return len(self._content)

    def take_out(self, model: onnx.ModelProto) -> None:
        """Move a model's large initializers into this file; the model keeps their places."""
        for tensor in model.graph.initializer:
            content = numpy_helper.to_array(tensor).tobytes()
            if len(content) >= _INLINE_BYTES:
                self._refer(tensor, *self._place(content))

    def write(self, folder: Path) -> None:
        """Write the file into a bundle."""
        (folder / WEIGHTS).write_bytes(self._content)

    def _place(self, content: bytes) -> tuple[int, int]:
        key = hashlib.sha256(content).hexdigest()
        if key not in self._places:
            self._content.extend(b"\0" * (-len(self._content) % _ALIGNMENT_BYTES))
            self._places[key] = (len(self._content), len(content))
            self._content.extend(content)
        return self._places[key]

    def _refer(self, tensor: TensorProto, offset: int, length: int) -> None:
        for field in ("raw_data", "float_data", "int32_data", "int64_data"):
            tensor.ClearField(field)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
