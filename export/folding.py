"""Batch norm folded into the layer before it, once, so that every graph shares the folded weights.

networks = fold(system.generator)
"""

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import parametrize

_Weighted = nn.Linear | nn.modules.conv._ConvNd
_BatchNorm = nn.modules.batchnorm._BatchNorm


def fold(network: nn.Module) -> nn.Module:
    """Return a frozen copy in eval mode, with batch norms folded and weight parametrizations resolved.

    A batch norm is folded where it directly follows a convolution, transposed convolution or linear layer
    in an `nn.Sequential`; anywhere else it stays and is exported as it is.
    """
    folded = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for module in folded.modules():
        _resolve_parametrizations(module)
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
    return folded


def _resolve_parametrizations(module: nn.Module) -> None:
    if not parametrize.is_parametrized(module):
        return
    weights = {name: getattr(module, name).detach() for name in module.parametrizations}  # type: ignore[union-attr]
    # torch's remove_parametrizations changes the class, which a copy shares with the original.
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight, requires_grad=False))


def _fold_sequence(sequence: nn.Sequential) -> None:
    names = list(sequence._modules)
    for first, second in pairwise(names):
        layer, norm = sequence._modules[first], sequence._modules[second]
        if isinstance(layer, _Weighted) and isinstance(norm, _BatchNorm):
            _fold_pair(layer, norm)
            sequence._modules[second] = nn.Identity()


def _fold_pair(layer: _Weighted, norm: _BatchNorm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale + (norm.bias if norm.affine else 0)
    output_axis = 1 if isinstance(layer, nn.modules.conv._ConvTransposeNd) else 0
    shape = [1] * layer.weight.ndim
    shape[output_axis] = -1
    bias = shift if layer.bias is None else shift + layer.bias * scale
    layer.weight = nn.Parameter(layer.weight * scale.reshape(shape), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
