"""The suites of suites.yaml, and the single runs that they ask for.

for run in read_suites()["elpv"].runs(): print(run.name)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from ganspect.sections import Section

FILE = Path(__file__).with_name("suites.yaml")
ROOT = Path(__file__).parents[1]
UNPUBLISHED_SEEDS = (0, 1)


class Reported(Section):
    """A figure that others report.

    Attributes:
        system: the system's name in their publication.
        data: one of the suite's data sets, or `mean` for all of them.
        auroc: if they report that.
        auprc: if they report that.
        source: the publication that reports the figure.
    """

    system: str
    data: str
    auroc: float | None = None
    auprc: float | None = None
    source: str


class Case(Section):
    """One recipe on some data sets.

    Attributes:
        recipe: path from the project's folder.
        data: sources as commands take them; a `.npz` or a folder is looked for in the data folder.
        seeds: seeds of initial weights and split.
        file: file in the data folder of a data set that no package brings.
        overrides: `section.key=value` on top of the recipe.
        images: normal images to train on, drawn by the seed; absent: all that the data set has.
        mode: `search`, `encoder` where a protocol has no search, or `own`: what the bundle's verdicts come from.
    """

    recipe: Path
    data: list[str] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    file: str | None = None
    overrides: tuple[str, ...] = ()
    images: int | None = None
    mode: Literal["search", "encoder", "own"] = "search"


class Suite(Section):
    """Cases whose figures stand in one table.

    Attributes:
        title: heading of its section in docs/results.md.
        about: the protocol.
        published: whether that page has it.
        cases: its cases in the order of the table.
        reported: figures of others on the same data.
    """

    title: str
    about: str
    published: bool = True
    cases: list[Case]
    reported: tuple[Reported, ...] = ()

    def runs(self) -> Iterator["Run"]:
        """Yield every run, seed by seed, so that a suite that is stopped has whole tables of the first seeds."""
        seeds = sorted({seed for case in self.cases for seed in case.seeds})
        for seed in seeds:
            for case in self.cases:
                if seed in case.seeds:
                    yield from (Run(case, data, seed) for data in case.data)


@dataclass(frozen=True)
class Run:
    """One recipe, one data set, one seed.

    Attributes:
        case: the case that it belongs to.
        data: its data set.
        seed: its seed.
    """

    case: Case
    data: str
    seed: int

    @property
    def name(self) -> str:
        """Return what its files are called."""
        data = re.sub(r"\W+", "_", Path(self.data).stem if self.data.endswith(".npz") else self.data)
        few = "" if self.case.images is None else f"__{self.case.images}_images"
        return f"{self.case.recipe.stem}__{data}{few}__seed{self.seed}"

    @property
    def shown_data(self) -> str:
        """Return its data set as tables name it."""
        return self.data if self.case.images is None else f"{self.data}, {self.case.images} images"

    def source(self, data_folder: Path | None) -> str:
        """Return the data set as a command takes it."""
        place = _in(data_folder, self.data)
        return str(place) if self.data.endswith(".npz") or place.is_dir() else self.data

    def file(self, data_folder: Path | None) -> Path | None:
        """Return the file of a data set that no package brings."""
        return None if self.case.file is None else _in(data_folder, self.case.file)


def _in(folder: Path | None, name: str) -> Path:
    return Path(name) if folder is None else folder / name


def read_suites(path: Path = FILE) -> dict[str, Suite]:
    """Return all suites by name.

    Raises:
        ValueError: a published suite uses a seed that recipes were developed on.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    suites = {name: Suite.model_validate(suite) for name, suite in content.items()}
    for name, suite in suites.items():
        looked_at = {seed for case in suite.cases for seed in case.seeds} & set(UNPUBLISHED_SEEDS)
        if suite.published and looked_at:
            raise ValueError(f"the suite {name} would publish seeds that were developed on: {sorted(looked_at)}")
    return suites
