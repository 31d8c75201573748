"""A system with random weights and every kind of layer that export must fold or differentiate; it trains nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from ganspect.config import Recipe
from ganspect.export.formulas import Formulas, compose
from ganspect.export.graphs import Sizes, graph_builders
from ganspect.export.reference import ReferenceSearch
from ganspect.export.weights import WeightFile
from ganspect.records import SearchRecord
from ganspect.train.compute import Compute
from ganspect.train.settings import TrainingSettings
from ganspect.train.system import Stage, System

LATENT = 8
SIZES = Sizes((12, 16), 3, LATENT)
SEARCH = SearchRecord(
    steps=20,
    burn_in=0,
    restarts=1,
    learning_rate=0.05,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-8,
    clip=2.5,
    feature_weight=0.1,
    reduction="mean",
)
ROBUST = {
    residual: SEARCH.model_copy(update={"residual": residual, "huber_delta": 0.5, "trimmed_share": 0.2})
    for residual in ("huber", "trimmed")
}
"""The same search with other losses than the usual, and not with their defaults; the toy weighs no residuals."""


class Toy(System):
    name = "toy"
    recipe_type = Recipe
    paper_score = "fanogan"

    def __init__(self, *, with_encoder: bool = True) -> None:
        super().__init__(Recipe(system="toy"))
        torch.manual_seed(0)
        self.generator = nn.Sequential(
            nn.Linear(LATENT, 16 * 3 * 4),
            nn.Unflatten(1, (16, 3, 4)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
            nn.Tanh(),
        )
        self.features = nn.Sequential(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 16, 4, 2, 1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.2),
        )
        self.encoder = None
        if with_encoder:
            self.encoder = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 48, LATENT))
        self._use_batch_norm()

    @property
    def training_settings(self) -> TrainingSettings:
        return TrainingSettings()

    def stages(self, compute: Compute) -> Mapping[str, Callable[[], Stage]]:
        return {}

    def _use_batch_norm(self) -> None:
        """Move the running statistics away from 0 and 1, so that folding has something to get wrong."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        self.eval().requires_grad_(False)


def toy_formulas(
    toy: Toy, score: str = "residual_worst", encoder_score: str = "paper", search: SearchRecord = SEARCH
) -> Formulas:
    return compose(toy, search, score, encoder_score)


def toy_reference(toy: Toy, score: str = "residual_worst", search: SearchRecord = SEARCH) -> ReferenceSearch:
    return ReferenceSearch(toy, search, score)


def write_toy_graphs(
    toy: Toy, folder: Path, score: str = "residual_worst", search: SearchRecord = SEARCH
) -> dict[str, onnx.ModelProto]:
    weights = WeightFile()
    graphs = {name: build() for name, build in graph_builders(toy_formulas(toy, score, search=search), SIZES).items()}
    for name, model in graphs.items():
        weights.take_out(model)
        onnx.save(model, folder / f"{name}.onnx")
    weights.write(folder)
    return graphs
