"""Other backbones from recipe to verdict: nothing but the catalogue knows which one it is."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganspect.bundle import Bundle, open_bundle
from ganspect.datasets import open_dataset
from ganspect.errors import ConfigError
from ganspect.export.exporter import export_run
from ganspect.export.parity import TOLERANCES
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.train.backbones import catalogue
from ganspect.train.backbones.backbone import Backbone
from ganspect.train.representation import Representation
from ganspect.train.systems import parse_recipe
from tests.conftest import FEATURE_SPACE, train_system
from tests.train.tiny_network import as_if_trained


class Edges(Backbone):
    """Two layers of fixed filters, as somebody else would add them."""

    name = "edges"

    def __init__(self, layers: tuple[int, ...], channels: Any) -> None:
        super().__init__(layers, channels)
        self.layers = tuple(sorted(set(layers)))
        self.widths = tuple((12, 20)[layer] for layer in self.layers)
        self.first = nn.Conv2d(channels, 12, 5, 4, 2)
        self.second = nn.Conv2d(12, 20, 3, 2, 1)

    def load(self, weights: Path | None) -> None:
        random = torch.Generator().manual_seed(0 if weights is None else len(weights.read_bytes()))
        with torch.no_grad():
            for values in self.parameters():
                values.copy_(torch.randn(values.shape, generator=random) * 0.3)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = [torch.relu(self.first(image))]
        maps.append(torch.relu(self.second(maps[0])))
        return tuple(maps[layer] for layer in self.layers)


def exported(folder: Path, source: Path, *overrides: str) -> Bundle:
    run = train_system("linear", folder / "run", source, *FEATURE_SPACE, *overrides)
    export_run(run, folder / "bundle")
    return open_bundle(folder / "bundle")


def assert_it_inspects(bundle: Bundle, source: Path) -> None:
    frames = {sample.label: sample.read() for sample in open_dataset(str(source)).test}
    with Inspector.load(bundle.folder, tuning=Tuning(threads=1)) as inspector:
        assert [inspector.inspect(frames[label]).anomalous for label in (0, 1)] == [False, True]


def assert_parity_was_proved(bundle: Bundle) -> None:
    figures = {name: value for name, value in bundle.manifest.parity.items() if "backbone" in name}
    assert figures
    assert all(0 <= value <= TOLERANCES["function"] for value in figures.values())


def test_a_backbone_that_the_product_does_not_know(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.BACKBONES, "edges", Edges)  # type: ignore[arg-type]
    bundle = exported(tmp_path, mvtec_folder, "backbone.name=edges")
    record = bundle.manifest.backbone
    assert record is not None
    assert (record.name, record.layers, record.channels, record.weights_sha256) == ("edges", (0, 1), 24, None)
    assert_parity_was_proved(bundle)
    monkeypatch.undo()  # what inspects needs no backbone but the one in its graphs
    assert_it_inspects(bundle, mvtec_folder)


def test_an_older_bundle_without_the_hash_of_its_weights_opens(features_bundle: Path) -> None:
    manifest = json.loads((features_bundle / "manifest.json").read_text())
    assert len(manifest["backbone"].pop("weights_sha256")) == 64
    type(open_bundle(features_bundle).manifest).model_validate(manifest)


def test_a_network_of_torchvision(mvtec_folder: Path, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    weights = as_if_trained(torchvision.models.get_model("resnet18", weights=None).state_dict())
    torch.save({"state_dict": weights}, tmp_path / "weights.pth")
    bundle = exported(
        tmp_path,
        mvtec_folder,
        "backbone.name=torchvision:resnet18",
        "backbone.layers=[1,2]",
        f"backbone.weights={tmp_path / 'weights.pth'}",
    )
    record = bundle.manifest.backbone
    assert record is not None
    assert (record.name, record.layers) == ("torchvision:resnet18", (1, 2))
    assert record.weights_sha256 == hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert_parity_was_proved(bundle)
    assert_it_inspects(bundle, mvtec_folder)


def test_a_network_of_timm_in_colour(mvtec_folder: Path, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    weights = as_if_trained(timm.create_model("mobilenetv3_small_100").state_dict())
    torch.save(weights, tmp_path / "weights.pth")
    bundle = exported(
        tmp_path,
        mvtec_folder,
        "backbone.name=timm:mobilenetv3_small_100",
        "backbone.layers=[1,2]",
        f"backbone.weights={tmp_path / 'weights.pth'}",
        "image.channels=3",
    )
    assert bundle.manifest.backbone is not None
    assert_parity_was_proved(bundle)
    assert_it_inspects(bundle, mvtec_folder)


class Picky(Edges):
    """Takes no image that is small."""

    name = "picky"

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if image.shape[2] < 100:
            raise RuntimeError("Kernel size can't be greater\nthan actual input size")
        return super().forward(image)


def test_an_image_that_is_too_small_for_a_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.BACKBONES, "picky", Picky)  # type: ignore[arg-type]
    content = {"system": "linear", "backbone": {"name": "picky", "layers": [0], "channels": 8}}
    content["search"] = {"feature_weight": 0}
    expected = (
        r"^picky cannot take images of 64x64 pixels \(Kernel size can't be greater than actual input size\); choose "
        r"another image\.size_hw, lower backbone\.layers, or another backbone$"
    )
    with pytest.raises(ConfigError, match=expected):
        Representation(parse_recipe(content, Path("a.yaml")))
