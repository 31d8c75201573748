"""What a frozen network's convolutions can take over for good: the batch norm behind them, and an image's grey.

graph = follow(network, 3, (), ())
if graph is not None:
    fold_batch_norms(graph, (nn.Conv2d,))
    let_stem_take_grey(graph, (nn.Conv2d,), scale, shift)

Both are exact. Which modules follow each other is read off a graph of the network (`torch.fx`); a network whose code
asks for the values that pass through it cannot be followed, and stays as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_COLOURS = 3


def follow(
    network: nn.Module, maps: int, leaves: Sequence[type[nn.Module]], functions: Sequence[Callable[..., Any]]
) -> fx.GraphModule | None:
    """Return a network in evaluation mode as a graph of its modules; None where its code cannot be followed.

    Args:
        network: shares its modules with the graph.
        maps: how many it returns; it gathers them in a way that cannot be followed where the graph has others.
        leaves: modules that are not looked into, beside PyTorch's own.
        functions: functions that are not looked into, beside PyTorch's own.
    """
    tracer = _Tracer(tuple(leaves), tuple(functions))
    try:
        graph = tracer.trace(network)
    except Exception:  # whatever the network's code makes of a value that is none
        return None
    returned = graph.output_node().args[0]
    if not isinstance(returned, list | dict) or len(returned) != maps:
        return None
    return fx.GraphModule(network, graph)


class _Tracer(fx.Tracer):
    def __init__(self, leaves: tuple[type[nn.Module], ...], functions: tuple[Callable[..., Any], ...]) -> None:
        super().__init__(autowrap_functions=functions)
        self._leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self._leaves) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(graph: fx.GraphModule, plain: Sequence[type[nn.Module]]) -> None:
    """Fold each batch norm into the convolution before it, where nothing else sees what that computes.

    Args:
        graph: a network in evaluation mode; it is changed.
        plain: types of convolutions that use their weight as it is.
    """
    for node in list(graph.graph.nodes):
        norm, before = _module(graph, node), _only_input(node)
        if before is None or not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        activation = getattr(norm, "act", None)  # timm's bring theirs along
        if type(norm) is not nn.BatchNorm2d and not isinstance(activation, nn.Module):
            continue
        convolution = _module(graph, before)
        if not isinstance(convolution, nn.Conv2d) or type(convolution) not in plain or len(before.users) > 1:
            continue
        if _calls(graph, node) > 1 or _calls(graph, before) > 1:
            continue
        graph.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
        if isinstance(activation, nn.Module):
            graph.set_submodule(str(node.target), activation)
        else:
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


@torch.no_grad()
def let_stem_take_grey(graph: fx.GraphModule, plain: Sequence[type[nn.Module]], scale: Tensor, shift: Tensor) -> bool:
    """Let the first convolution take a grey image and a channel of ones, in place of three normalized colours.

    For colours `scale * grey + shift` its weight is summed over colours, times `scale` for the grey and times `shift`
    for the ones. At the image's border both channels are padded as the colours were, which a bias could not be.

    Args:
        graph: a network in evaluation mode; it is changed.
        plain: types of convolutions that use their weight as it is.
        scale: (3,) factors of the colours.
        shift: (3,) what is added to the colours.

    Returns:
        Whether it could; not where the image goes elsewhere too, or into another kind of layer.
    """
    image = next(node for node in graph.graph.nodes if node.op == "placeholder")
    stem = next(iter(image.users))
    convolution = _module(graph, stem)
    if len(image.users) > 1 or type(convolution) not in plain or _calls(graph, stem) > 1:
        return False
    if not isinstance(convolution, nn.Conv2d) or (convolution.groups, convolution.in_channels) != (1, _COLOURS):
        return False
    summed = [(convolution.weight * values[:, None, None]).sum(1) for values in (scale, shift)]
    convolution.weight = nn.Parameter(torch.stack(summed, 1))
    convolution.in_channels = len(summed)
    return True


def _only_input(node: fx.Node) -> fx.Node | None:
    return node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None


def _module(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None


def _calls(graph: fx.GraphModule, node: fx.Node) -> int:
    return sum(other.op == "call_module" and other.target == node.target for other in graph.graph.nodes)
