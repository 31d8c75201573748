"""Checkpoints: one safetensors file with networks, averages and optimizers; the position stands in its metadata.

Written atomically, so a killed run finds the last one whole.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ganspect.errors import RunError
from ganspect.files import write_atomically
from ganspect.train.system import Stage, System

_POSITION = "position"


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        stage: name of the stage.
        step: steps of it that were taken.
    """

    stage: str
    step: int


def save_checkpoint(path: Path, system: System, stage: Stage, position: Position) -> None:
    """Write everything that the rest of the run depends on.

    Raises:
        OutputError: the file cannot be written, or the disk is full.
    """
    tensors = dict(_prefixed("system", system.state_dict()))
    for name, module in stage.modules.items():
        tensors |= _prefixed(f"modules.{name}", module.state_dict())
    for name, optimizer in stage.optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= _prefixed(f"optimizers.{name}.{index}", values)
    packed = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_atomically(path, save(packed, {_POSITION: json.dumps(asdict(position))}))


def read_position(path: Path) -> Position | None:
    """Return where a checkpoint was written, or None if there is none.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            return Position(**json.loads(file.metadata()[_POSITION]))
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def load_checkpoint(path: Path, system: System, stage: Stage) -> None:
    """Restore the system and a stage that was just made.

    Raises:
        RunError: the file is damaged, or is of other networks.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        system.load_state_dict(_below("system", tensors))
        for name, module in stage.modules.items():
            module.load_state_dict(_below(f"modules.{name}", tensors))
        for name, optimizer in stage.optimizers.items():
            _restore_optimizer(optimizer, _below(f"optimizers.{name}", tensors))
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def load_weights(path: Path, network: nn.Module) -> None:
    """Load the weights of a finished run.

    Raises:
        RunError: the file is damaged, or is of other networks.
    """
    try:
        with safe_open(path, "pt") as file:
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's weights; see `save_checkpoint` for the errors."""
    write_atomically(path, save({name: value.contiguous().cpu() for name, value in network.state_dict().items()}))


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = _as_before(tensor, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _as_before(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a moment in its parameter's memory format, so that the update sums in the same order as before."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _damaged(path: Path, error: Exception) -> RunError:
    reason = " ".join(str(error).split())[:200]
    return RunError(f"{path} is damaged ({reason}); delete {path.parent} and train again")
