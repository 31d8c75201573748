"""What the tests of EGBAD's and GANomaly's stages share: tiny systems, and what a step leaves as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ganspect.train.compute import Compute, Precision
from ganspect.train.run import build_system
from ganspect.train.seeds import seeded
from ganspect.train.system import Stage, System
from ganspect.train.systems import SYSTEMS, parse_recipe

BATCH = 4


def images(count: int, channels: int = 1, size_hw: tuple[int, int] = (28, 28)) -> Tensor:
    """Return images that are always the same, in [-1, 1]."""
    return torch.rand((count, channels, *size_hw), generator=torch.Generator().manual_seed(1)) * 2 - 1


def tiny(
    name: str, network: dict[str, object] | None = None, channels: int = 1, size_hw: tuple[int, int] = (28, 28)
) -> System:
    """Return an untrained system, width 4, six latents, batch norm's statistics moved off 0 and 1."""
    content = {
        "system": name,
        "image": {"size_hw": size_hw, "channels": channels},
        "network": {"width": 4, "latent_size": 6, **(network or {})},
    }
    system = build_system(parse_recipe(content, Path("a.yaml")), SYSTEMS[name])
    random = torch.Generator().manual_seed(2)
    for module in system.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2, generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
    return system.requires_grad_(False).eval()


def make(system: System, settings: dict[str, object], precision: Precision = "fp32") -> Stage:
    """Return the system's first stage with other settings, on the CPU."""
    content = system.recipe.model_dump()
    name = next(iter(system.stages(Compute(torch.device("cpu"), "fp32"))))
    content["training"][name] |= {"batch_size": BATCH, "steps": 4, **settings}
    system.recipe = parse_recipe(content, Path("a.yaml"))
    with seeded(0, "made"):
        return system.stages(Compute(torch.device("cpu"), precision))[name].make()


def state(*modules: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors."""
    return {
        f"{index}.{name}": tensor.clone()
        for index, module in enumerate(modules)
        for name, tensor in module.state_dict().items()
    }


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether all tensors are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def moving_only(stage: Stage, name: str) -> Iterator[None]:
    """Give all optimizers but one no rate while the block runs."""
    kept = {key: optimizer.step for key, optimizer in stage.optimizers.items() if key != name}
    for key in kept:
        stage.optimizers[key].step = lambda *_: None  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for key, step in kept.items():
            stage.optimizers[key].step = step  # type: ignore[method-assign]


def parameters(*modules: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights, without buffers."""
    return {
        f"{index}.{name}": parameter.detach().clone()
        for index, module in enumerate(modules)
        for name, parameter in module.named_parameters()
    }


def gradients(module: nn.Module) -> list[Tensor | None]:
    """Return the gradients of a module's weights."""
    return [parameter.grad for parameter in module.parameters()]


def without_a_trace(stage: Stage, system: System, look: Callable[[], object]) -> bool:
    """Return whether a look leaves networks, random numbers and modes as they were."""
    modules = [system, *stage.modules.values()]
    before, random = state(*modules), torch.get_rng_state()
    modes = [module.training for each in modules for module in each.modules()]
    look()
    same = equal(before, state(*modules)) and torch.equal(random, torch.get_rng_state())
    return same and modes == [module.training for each in modules for module in each.modules()]
