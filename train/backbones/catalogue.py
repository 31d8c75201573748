"""The backbones by the name that recipes write; a new one is added here, as is a package of networks."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Literal

from ganspect.errors import ConfigError, MissingDependencyError, one_line
from ganspect.extras import extra
from ganspect.sections import nearest
from ganspect.train.backbones.backbone import Backbone
from ganspect.train.backbones.cut_network import CutNetwork, Network
from ganspect.train.backbones.efficientnet_lite import EfficientNetLite0

BACKBONES: Mapping[str, type[Backbone]] = {"efficientnet_lite0": EfficientNetLite0}

PACKAGES: Mapping[str, tuple[str, str]] = {
    "torchvision": ("ganspect.train.backbones.torchvision_networks", "TorchvisionNetwork"),
    "timm": ("ganspect.train.backbones.timm_networks", "TimmNetwork"),
}
"""Where the networks of a package, which is an extra of that name, are built: module and class."""


def find_backbone(name: str) -> Callable[[tuple[int, ...], Literal[1, 3]], Backbone]:
    """Return what builds the backbone of that name, from layers and channels; see `Backbone`.

    Args:
        name: a name in `BACKBONES`, or PACKAGE:NETWORK.

    Raises:
        ConfigError: there is none; says which comes nearest.
        MissingDependencyError: the package is not installed, or does not fit PyTorch.
    """
    package, colon, network = name.partition(":")
    if colon and package in PACKAGES:
        return partial(CutNetwork, _networks_of(package)(network))
    if name not in BACKBONES:
        known = [*BACKBONES, *(f"{package}:NAME" for package in PACKAGES)]
        raise ConfigError(f"there is no backbone {name!r}; {nearest(name, known)}")
    return BACKBONES[name]


def _networks_of(package: str) -> Callable[[str], Network]:
    module, cls = PACKAGES[package]
    try:
        with extra(package):
            networks: Callable[[str], Network] = getattr(import_module(module), cls)
    except RuntimeError as error:  # torchvision's operators are compiled for one release and build of PyTorch
        raise MissingDependencyError(
            f"{package} cannot be used with this PyTorch ({one_line(error, 120)}); install a torch and a torchvision "
            "of one release and from one index, both for CUDA or both without"
        ) from error
    return networks
