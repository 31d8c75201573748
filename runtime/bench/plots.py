"""The page's drawings, as SVG text: latency's distribution, latency over steps, throughput over batch, AUROC over time.

svg = distribution_plot([Line("OpenVINO bf16", samples_ms, style)], "milliseconds of one step")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, PercentFormatter, ScalarFormatter

from ganspect.runtime.evaluation.canvas import (
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SETTINGS,
    SKY,
    VERMILLION,
    new_axes,
    to_svg,
)

Style = Mapping[str, Any]

_OURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, GREY)
_DASHES = ("-", (0, (6, 2)), (0, (4, 1, 1, 1)), (0, (8, 2, 2, 2)), (0, (2, 1)), "-")
_PYTORCH: Mapping[str, Style] = {
    "pytorch-eager": {"color": VERMILLION, "linestyle": (0, (3, 1.5)), "linewidth": 2.0},
    "pytorch-compiled": {"color": LIGHT_GREY, "linestyle": (0, (1, 1.2)), "linewidth": 2.2},
}
_LOG_FROM = 8.0


@dataclass(frozen=True)
class Line:
    """One line in a plot.

    Attributes:
        name: in the legend.
        x: its values; for a distribution the samples, in any order.
        y: its values; empty for a distribution.
        style: matplotlib's keywords.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: Style


def styles_of(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Style]:
    """Return a style for each backend and precision, the same in every drawing."""
    ours = [key for key in dict.fromkeys(keys) if key[0] not in _PYTORCH]
    found: dict[tuple[str, str], Style] = {
        key: {"color": _OURS[index % 6], "linestyle": _DASHES[index % 6], "linewidth": 2.4}
        for index, key in enumerate(ours)
    }
    return {**found, **{key: _PYTORCH[key[0]] for key in keys if key[0] in _PYTORCH}}


def distribution_plot(lines: Sequence[Line], x_label: str, *, wide: bool = False) -> str:
    """Draw which share of the repetitions took at most so long, with the median and the 99th percentile marked."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes(x_label, "repetitions that took at most so long", wide=wide)
        for level in (0.5, 0.99):
            axes.axhline(level, color="#c9d0d9", linewidth=1)
        for line in lines:
            ordered = np.sort(np.asarray(line.x, np.float64))
            axes.step(
                ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", label=line.name, **line.style
            )
        _time_axis(axes, [value for line in lines for value in line.x])
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="best")
        return to_svg(figure)


def over_steps_plot(lines: Sequence[Line]) -> str:
    """Draw the duration of a search over its iterations, both axes from zero: a straight line is what is expected."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("iterations of the search (K)", "milliseconds, median")
        for line in lines:
            axes.plot(line.x, line.y, marker="o", markersize=4.5, label=line.name, **line.style)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left")
        return to_svg(figure)


def over_batch_plot(lines: Sequence[Line], y_label: str) -> str:
    """Draw throughput over batch, both logarithmic."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("batch (images in one call)", y_label)
        for line in lines:
            axes.plot(line.x, line.y, marker="o", markersize=4.5, label=line.name, **line.style)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sorted({value for line in lines for value in line.x}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        _plain_ticks(axes.yaxis)
        axes.legend(loc="best")
        return to_svg(figure)


def auroc_plot(lines: Sequence[Line]) -> str:
    """Draw AUROC over the time that an image takes to reach it."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("milliseconds an image, batch 1", "AUROC", wide=True)
        for line in lines:
            axes.plot(line.x, line.y, marker="o", markersize=4.5, label=line.name, **line.style)
        _time_axis(axes, [value for line in lines for value in line.x])
        axes.legend(loc="lower right")
        return to_svg(figure)


def _time_axis(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > _LOG_FROM:
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
    else:
        axes.set_xlim(left=0)


def _plain_ticks(axis: Any) -> None:
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())
