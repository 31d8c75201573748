"""What the page's sections are made from: samples for drawings, bench.json's content for figures.

drawn = Drawn(measured, content, curve); style = drawn.style(row)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ganspect.runtime.bench.curve import Curve
from ganspect.runtime.bench.plots import Style, styles_of
from ganspect.runtime.bench.record import Measured

Content: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Drawn:
    """What sections are made from.

    Attributes:
        measured: with all samples.
        content: of bench.json.
        curve: AUROC over iterations; None without an evaluation.
    """

    measured: Measured
    content: Content
    curve: Curve | None

    @property
    def batch(self) -> int:
        """Return the smallest batch."""
        return int(self.content["settings"]["batches"][0])

    @property
    def reference(self) -> Sequence[Mapping[str, Any]]:
        """Return PyTorch's rows."""
        rows: Sequence[Mapping[str, Any]] = self.content.get("reference", {"rows": []})["rows"]
        return rows

    @property
    def all_rows(self) -> list[Mapping[str, Any]]:
        """Return ours, then PyTorch's."""
        return [*self.content["rows"], *self.reference]

    @property
    def styles(self) -> dict[tuple[str, str], Style]:
        """Return a line style for each backend and precision."""
        return styles_of([(row["backend"], row["precision"]) for row in self.all_rows])

    def style(self, row: Mapping[str, Any]) -> Style:
        """Return the line style of a row."""
        return self.styles[row["backend"], row["precision"]]
