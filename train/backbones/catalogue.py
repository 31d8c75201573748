"""The backbones by the name that recipes write; a new one is added here."""

from collections.abc import Mapping

from ganspect.errors import ConfigError
from ganspect.sections import nearest
from ganspect.train.backbones.backbone import Backbone
from ganspect.train.backbones.efficientnet_lite import EfficientNetLite0

BACKBONES: Mapping[str, type[Backbone]] = {"efficientnet_lite0": EfficientNetLite0}


def find_backbone(name: str) -> type[Backbone]:
    """Return the backbone of that name.

    Raises:
        ConfigError: there is none; says which comes nearest.
    """
    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name!r}; {nearest(name, list(BACKBONES))}")
    return BACKBONES[name]
