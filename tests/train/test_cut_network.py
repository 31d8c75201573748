"""A network of another package as a backbone: what is folded is exact, and what a file holds must fit."""

import copy
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ganspect.errors import ConfigError, MissingDependencyError
from ganspect.train.backbones import catalogue
from ganspect.train.backbones.catalogue import find_backbone
from ganspect.train.backbones.cut_network import CutNetwork
from ganspect.train.backbones.folding import fold_batch_norms, follow
from ganspect.train.backbones.weight_file import read_weight_file
from tests.train.tiny_network import TinyNetwork, as_if_trained, assert_is_the_packages, images, saved


def norms_in(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layers", [(0,), (1,), (1, 0, 1)])
def test_maps_are_those_of_the_network_on_normalized_colours(layers: Any, channels: Any, tmp_path: Path) -> None:
    backbone = assert_is_the_packages(TinyNetwork(), layers, channels, tmp_path)
    assert backbone.layers == tuple(sorted(set(layers)))
    assert norms_in(backbone) == 0
    assert backbone.takes_grey == (channels == 1)


class Grouped(nn.Conv2d):
    """A stem whose colours keep apart at first."""

    def __init__(self) -> None:
        super().__init__(3, 8, 3, 2, 1)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flip(1))


class Reflecting(nn.Conv2d):
    """A stem that pads with what lies inside the border."""

    def __init__(self) -> None:
        super().__init__(3, 8, 3, 2, 1, padding_mode="reflect")


class Watching(nn.Module):
    """A stem whose code asks what passes through it, which cannot be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        values: Tensor = self.inner(image)
        return values if values.mean() < 1e9 else -values


@pytest.mark.parametrize("stem", [Grouped, Reflecting, Watching])
def test_another_kind_of_stem_takes_grey_as_three_colours(stem: type[nn.Module], tmp_path: Path) -> None:
    backbone = assert_is_the_packages(TinyNetwork(stem), (0, 1), 1, tmp_path)
    assert not backbone.takes_grey


def test_a_network_that_cannot_be_followed_keeps_its_batch_norms(tmp_path: Path) -> None:
    assert norms_in(assert_is_the_packages(TinyNetwork(Watching), (0, 1), 3, tmp_path)) == 2


class Shared(nn.Module):
    """Two convolutions whose batch norm, or whose values, are used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> list[Tensor]:
        seen = self.c(image)
        return [self.norm(self.a(image)), self.norm(self.b(image)), seen + self.other(seen)]


def test_a_batch_norm_is_folded_only_where_nothing_else_depends_on_it() -> None:
    network = Shared().eval().requires_grad_(False)
    network.load_state_dict(as_if_trained(network.state_dict()))
    expected = network(images(3))
    graph = follow(network, 3, (), ())
    assert graph is not None
    fold_batch_norms(graph, (nn.Conv2d,))
    assert norms_in(graph) == 2
    for values, wanted in zip(graph(images(3)), expected, strict=True):
        torch.testing.assert_close(values, wanted)


def test_it_stays_as_it_is_whatever_is_asked_of_it() -> None:
    backbone = CutNetwork(TinyNetwork(Watching), (0, 1), 3)
    before = [values.clone() for values in backbone.state_dict().values()]
    backbone.train()
    maps = backbone(images(3))
    assert not any(module.training for module in backbone.modules())
    assert not any(values.requires_grad for values in (*backbone.parameters(), *maps))
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.state_dict().values(), strict=True))


def nested(weights: Any, path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": tensor for key, tensor in weights.items()}}, path)


def half_and_without_counters(weights: Any, path: Path) -> None:
    save_file({key: tensor.half() for key, tensor in weights.items() if not key.endswith("tracked")}, path)


def with_another_head(weights: Any, path: Path) -> None:
    torch.save({**weights, "fc.weight": torch.zeros(2, 12), "fc.2.weight": torch.zeros(2, 2)}, path)


@pytest.mark.parametrize(
    ("write", "tolerance"),
    [(save_file, 0), (torch.save, 0), (nested, 0), (with_another_head, 0), (half_and_without_counters, 5e-2)],
)
def test_files_may_be_of_several_forms(write: Callable[[Any, Path], None], tolerance: float, tmp_path: Path) -> None:
    network, path = TinyNetwork(), tmp_path / "a.file"
    weights = saved(network, tmp_path / "weights.pth")
    write(weights, path)
    first, second = (CutNetwork(network, (0, 1), 1) for _ in range(2))
    first.load(tmp_path / "weights.pth")
    second.load(path)
    for values, wanted in zip(second(images(1)), first(images(1)), strict=True):
        torch.testing.assert_close(values, wanted, atol=tolerance, rtol=0)
    assert second.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_files_hash_goes_where_the_weights_go(tmp_path: Path) -> None:
    saved(TinyNetwork(), tmp_path / "weights.pth")
    first, second = (CutNetwork(TinyNetwork(), (0,), 1) for _ in range(2))
    first.load(tmp_path / "weights.pth")
    assert second.weights_sha256 is None
    second.load_state_dict(first.state_dict())
    assert second.weights_sha256 == first.weights_sha256


def test_it_can_be_copied() -> None:
    backbone = CutNetwork(TinyNetwork(), (0, 1), 1)
    for values, copied in zip(backbone(images(1)), copy.deepcopy(backbone)(images(1)), strict=True):
        assert torch.equal(values, copied)


def test_without_a_file_the_sentence_says_that_nothing_is_downloaded() -> None:
    expected = r"^tiny:network comes without weights, and nothing is downloaded; give backbone\.weights the file of its"
    with pytest.raises(ConfigError, match=expected):
        CutNetwork(TinyNetwork(), (0,), 1).load(None)


@pytest.mark.parametrize(("name", "reason"), [("gone.pth", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^cannot read the backbone's weights .*: {reason}.*; correct backbone\.w"):
        CutNetwork(TinyNetwork(), (0,), 1).load(tmp_path / name)


@pytest.mark.parametrize("write", [save_file, torch.save])
@pytest.mark.parametrize("kept", [0, 7, 9, 200, -100])
def test_a_truncated_file(write: Callable[[Any, Path], None], kept: int, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write(saved(TinyNetwork(), tmp_path / "whole"), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConfigError, match=r"weights cannot be read as weights \(.*\): it is truncated, or neither"):
        read_weight_file(path)


def test_a_file_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(
        ConfigError, match=r"model\.pth cannot be read as weights .*; save the network's state_dict\(\)"
    ):
        read_weight_file(tmp_path / "model.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(2)], {"state_dict": {"a": 1}}, torch.zeros(2)])
def test_a_file_without_named_tensors(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"a\.pth holds no tensors by name; save the network's state_dict\(\), alone"):
        read_weight_file(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda weights: weights.pop("second.0.bias"), r"1 missing \(second\.0\.bias\); give"),
        (lambda weights: [weights.pop(f"second.0.{key}") for key in ("bias", "weight")], r"2 missing \(second\.0\.wei"),
        (lambda weights: weights.update({"first.5.weight": torch.zeros(1)}), r"1 unknown to it \(first\.5\.weight\)"),
        (
            lambda weights: weights.update({"first.0.weight": torch.zeros(8, 3, 7, 7)}),
            r"1 of another shape \(first\.0\.weight is 8x3x7x7 and not 8x3x3x3\)",
        ),
    ],
)
def test_weights_of_another_network(change: Callable[[Any], object], expected: str, tmp_path: Path) -> None:
    weights = saved(TinyNetwork(), tmp_path / "a.pth")
    change(weights)
    torch.save(weights, tmp_path / "a.pth")
    with pytest.raises(
        ConfigError, match=rf"a\.pth does not hold the weights of tiny:network: of 13 tensors, {expected}"
    ):
        CutNetwork(TinyNetwork(), (0, 1), 1).load(tmp_path / "a.pth")


def test_what_lies_behind_the_last_layer_need_not_be_there(tmp_path: Path) -> None:
    weights = saved(TinyNetwork(), tmp_path / "a.pth")
    torch.save({key: tensor for key, tensor in weights.items() if key.startswith("first")}, tmp_path / "a.pth")
    CutNetwork(TinyNetwork(), (0,), 1).load(tmp_path / "a.pth")


@pytest.mark.parametrize("layer", [2, 10])
def test_a_stage_that_does_not_exist(layer: int) -> None:
    expected = (
        rf"^backbone\.layers names {layer}, but tiny:network has the stages 0 to 1 \(of stride 2, 4\); choose among"
    )
    with pytest.raises(ConfigError, match=expected):
        CutNetwork(TinyNetwork(), (0, layer), 1)


@pytest.mark.parametrize("package", list(catalogue.PACKAGES))
def test_without_the_package_the_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, catalogue.PACKAGES[package][0], raising=False)
    expected = rf"^{package} is not installed; run: pip install 'ganspect\[{package}\]'$"
    with pytest.raises(MissingDependencyError, match=expected):
        find_backbone(f"{package}:resnet18")


def test_a_package_that_was_built_for_another_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(catalogue, "import_module", fail)
    expected = r"^torchvision cannot be used with this PyTorch \(operator torchvision::nms .*\); install a torch and a "
    with pytest.raises(MissingDependencyError, match=expected):
        find_backbone("torchvision:resnet18")


def test_a_package_that_is_none_of_those_known() -> None:
    with pytest.raises(ConfigError, match=r"^there is no backbone 'torchvison:resnet18'; "):
        find_backbone("torchvison:resnet18")
    with pytest.raises(ConfigError, match=r"; expected one of efficientnet_lite0, torchvision:NAME, timm:NAME$"):
        find_backbone("vgg")
