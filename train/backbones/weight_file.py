"""A user's file of weights: read without running anything in it, and held against the network that it is for.

weights = read_weight_file(Path("resnet18.safetensors"))
tensors = weights.fitting("torchvision:resnet18", network.state_dict(), head=("fc",))

Both formats are told by their first bytes: safetensors, or PyTorch's own, of which nothing but tensors is read. The
tensors may lie under the key `state_dict`, as trainers save them, and each name may begin with `module.`, as parallel
training leaves it.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from ganspect.errors import ConfigError, one_line

_NESTED = "state_dict"
_PARALLEL = "module."
_COUNTER = "num_batches_tracked"
"""Of a batch norm, which trained networks no longer need and old files do not have."""


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds.

    Attributes:
        path: the file.
        sha256: SHA-256 of its bytes in hexadecimal.
        tensors: tensors by their names in the network, without `module.`.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]

    def fitting(self, name: str, expected: Mapping[str, Tensor], head: Sequence[str]) -> dict[str, Tensor]:
        """Return the tensors of a network, in its own types, without those of its head.

        Args:
            name: the network's name, for messages.
            expected: the tensors of the whole network, of which shape and type are taken; they may have no storage.
            head: modules that are not used, and of which the file may hold anything.

        Raises:
            ConfigError: tensors are missing, are of other shapes, or belong to no part of the network.
        """
        needed = {key: tensor for key, tensor in expected.items() if not _lies_in(key, head)}
        given = {key: tensor for key, tensor in self.tensors.items() if not _lies_in(key, head)}
        missing = [key for key in needed if key not in given and not key.endswith(_COUNTER)]
        unknown = [key for key in given if key not in needed]
        shapes = [
            f"{key} is {_shape(given[key])} and not {_shape(tensor)}"
            for key, tensor in needed.items()
            if key in given and given[key].shape != tensor.shape
        ]
        wrong = {"missing": missing, "unknown to it": unknown, "of another shape": shapes}
        if sentence := ", ".join(_count(names, what) for what, names in wrong.items() if names):
            raise ConfigError(
                f"{self.path} does not hold the weights of {name}: of {len(needed)} tensors, {sentence}; give "
                "backbone.weights the file of that network, or correct backbone.name"
            )
        zero = torch.zeros((), dtype=torch.int64)  # for a batch norm without its counter
        return {key: given.get(key, zero).to(tensor.dtype) for key, tensor in needed.items()}


def read_weight_file(path: Path) -> WeightFile:
    """Read a file of weights.

    Raises:
        ConfigError: it is missing, damaged, or holds something else than named tensors.
    """
    path = path.expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the backbone's weights {path}: {error.strerror}; correct backbone.weights"
        ) from error
    tensors = _named_tensors(_parsed(content, path), path)
    return WeightFile(path, hashlib.sha256(content).hexdigest(), tensors)


def _parsed(content: bytes, path: Path) -> object:
    try:
        if content[8:9] == b"{":  # the length of a safetensors file's header in eight bytes, then the header
            return safetensors.torch.load(content)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can make anything of a reader
        raise ConfigError(
            f"{path} cannot be read as weights ({one_line(error, 120)}): it is truncated, or neither safetensors nor "
            "tensors that PyTorch saved; save the network's state_dict() again, or choose another backbone.weights"
        ) from error


def _named_tensors(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict) and isinstance(content.get(_NESTED), dict):
        content = content[_NESTED]
    if not isinstance(content, dict) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        raise ConfigError(
            f"{path} holds no tensors by name; save the network's state_dict(), alone or as {{'{_NESTED}': ...}}"
        )
    named = {str(key): tensor for key, tensor in content.items()}
    if all(key.startswith(_PARALLEL) for key in named):
        named = {key.removeprefix(_PARALLEL): tensor for key, tensor in named.items()}
    return named


def _lies_in(key: str, modules: Sequence[str]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what} ({names[0]}{', …' if len(names) > 1 else ''})"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "a number"
