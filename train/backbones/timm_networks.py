"""Networks of timm (Apache-2.0) by its own cutting, `features_only`.

network = TimmNetwork("resnet18.a1_in1k")
backbone = CutNetwork(network, (1, 2, 3), 3)

The part of a name behind the point says which weights the file holds, and by it how pixels are normalized.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import timm
from timm.layers import Conv2dSame, get_notrace_functions, get_notrace_modules
from torch import Tensor, nn

from ganspect.errors import ConfigError, one_line
from ganspect.sections import nearest
from ganspect.train.backbones.cut_network import Network, Stage


class TimmNetwork(Network):
    """A network of timm."""

    plain = (nn.Conv2d, Conv2dSame)

    def __init__(self, name: str) -> None:
        """Read its stages.

        Args:
            name: timm's, for instance `resnet18` or `resnet18.a1_in1k`.

        Raises:
            ConfigError: timm does not have the network, or cannot cut it.
        """
        if not timm.is_model(name):  # an address at a hub is none either
            raise ConfigError(f"timm has no network {name!r}; {_alike(name)}")
        self.name, self._name = f"timm:{name}", name
        self.leaves, self.functions = get_notrace_modules(), get_notrace_functions()
        self._example = self._made().to("meta")  # not built there: older ones compute their sizes with tensors
        self.stages = self._read_stages()
        settings = self._example.pretrained_cfg
        self.mean, self.deviation = settings["mean"], settings["std"]

    def cut(self, layers: Sequence[int], weights: Mapping[str, Tensor] | None) -> nn.Module:
        """Return timm's network of features; see `Network.cut`."""
        given = None if weights is None else {"state_dict": dict(weights)}
        features: nn.Module = self._made(
            features_only=True,
            out_indices=tuple(layers),
            pretrained=weights is not None,
            pretrained_cfg_overlay=given,
        )
        return _ChannelsFirst(features) if getattr(features, "output_fmt", "NCHW") == "NHWC" else features

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors of the whole network; see `Network.tensors`."""
        tensors: Mapping[str, Tensor] = self._example.state_dict()
        return tensors

    def head(self, layers: Sequence[int]) -> Sequence[str]:
        """Return the classifiers; see `Network.head`."""
        classifier = self._example.pretrained_cfg.get("classifier") or ()
        return [classifier] if isinstance(classifier, str) else list(classifier)

    def _made(self, **options: Any) -> Any:
        return timm.create_model(self._name, **options)

    def _read_stages(self) -> list[Stage]:
        try:
            count = len(self._example.feature_info)
            info = self._made(features_only=True, out_indices=tuple(range(count))).feature_info
        except (AttributeError, RuntimeError, AssertionError, ValueError, TypeError) as error:
            raise ConfigError(
                f"timm cannot cut {self._name} into features ({one_line(error, 120)}); choose another network for "
                "backbone.name"
            ) from error
        return [Stage(*one) for one in zip(info.channels(), info.reduction(), strict=True)]


class _ChannelsFirst(nn.Module):
    """Brings maps of (N,h,w,C) to (N,C,h,w)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> list[Tensor]:
        return [values.permute(0, 3, 1, 2) for values in self.network(image)]


def _alike(name: str) -> str:
    """Return the name that comes nearest; timm has too many to list them all."""
    known = timm.list_models()
    sentence = nearest(name, known)
    return sentence if sentence.startswith("did") else f"it has {len(known)}, see timm.list_models()"
