"""A graph's ONNX file as a network of TensorRT's, by NVIDIA's own parser, and what its inputs and outputs are.

parsed = parse(flavour, bundle.graph_path("search"))
print(parsed.inputs())
"""

from pathlib import Path
from typing import Any

from ganspect.errors import BundleError
from ganspect.runtime.backends.tensorrt.flavour import Flavour, Messages, tidied
from ganspect.runtime.engines import Port

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}


class Parsed:
    """A network, and the objects that must live as long as it does.

    Attributes:
        flavour: whose network it is.
        path: the ONNX file.
        messages: what the builder says.
        builder: of TensorRT.
        network: strongly typed, as the file has it.
    """

    def __init__(self, flavour: Flavour, path: Path) -> None:
        """Make an empty network; use `parse` instead."""
        self.flavour, self.path = flavour, path
        self.messages = Messages(flavour.api)
        self.builder = flavour.api.Builder(self.messages.logger)
        self.network = self.builder.create_network(_creation_flags(flavour.api))

    def input_tensors(self) -> list[Any]:
        """Return the network's inputs."""
        return [self.network.get_input(index) for index in range(self.network.num_inputs)]

    def inputs(self) -> tuple[Port, ...]:
        """Return the inputs."""
        return tuple(_port(tensor) for tensor in self.input_tensors())

    def outputs(self) -> tuple[Port, ...]:
        """Return the outputs; in a strongly typed network they are what the engine's will be."""
        return tuple(_port(self.network.get_output(index)) for index in range(self.network.num_outputs))


def parse(flavour: Flavour, path: Path) -> Parsed:
    """Parse an ONNX file; weights are read from where it says, beside it.

    Raises:
        BundleError: the parser does not take it.
    """
    parsed = Parsed(flavour, path)
    parser = flavour.api.OnnxParser(parsed.network, parsed.messages.logger)
    if not parser.parse_from_file(str(path)):
        reason = tidied(parser.get_error(0).desc()) if parser.num_errors else parsed.messages.first()
        raise BundleError(
            f"{flavour.product} {flavour.version} cannot read {path} ({reason}); "
            "export the bundle again with this ganspect, or use --backend onnxruntime"
        )
    return parsed


def engine_ports(engine: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and the outputs of a deserialized engine."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    ports: dict[str, list[Port]] = {"INPUT": [], "OUTPUT": []}
    for name in names:
        port = Port(name, dtype_name(engine.get_tensor_dtype(name)), tuple(engine.get_tensor_shape(name)))
        ports[engine.get_tensor_mode(name).name].append(port)
    return tuple(ports["INPUT"]), tuple(ports["OUTPUT"])


def dtype_name(dtype: Any) -> str:
    """Return NumPy's name of one of TensorRT's types."""
    name = str(dtype.name)
    return _DTYPES.get(name, name.lower())


def _port(tensor: Any) -> Port:
    return Port(tensor.name, dtype_name(tensor.dtype), tuple(tensor.shape))


def _creation_flags(api: Any) -> int:
    # TensorRT 10 would choose precisions by itself without the flag; 11 and RTX know nothing else and will drop it.
    flag = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)
