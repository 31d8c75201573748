"""The page's drawings, as SVG text: ROC, precision and recall, score histogram, AUROC over iterations.

svg = roc_plot([Line("search", scores, SEARCH_STYLE)], labels)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter, ScalarFormatter

from ganspect.runtime.evaluation.bootstrap import Floats, Interval, Labels
from ganspect.runtime.evaluation.canvas import BLUE, GREEN, LIGHT_GREY, SETTINGS, VERMILLION, new_axes, to_svg
from ganspect.runtime.evaluation.curve import Curve
from ganspect.runtime.evaluation.metrics import curves_of

SYSTEM_STYLES: Mapping[str, Mapping[str, Any]] = {
    "search": {"color": BLUE, "linestyle": "-", "linewidth": 2.4},
    "encoder": {"color": GREEN, "linestyle": (0, (6, 2)), "linewidth": 2.0},
    "pca": {"color": VERMILLION, "linestyle": (0, (3, 1.5)), "linewidth": 2.0},
    "mean_intensity": {"color": LIGHT_GREY, "linestyle": (0, (1, 1.5)), "linewidth": 2.0},
}

_BINS = 40


@dataclass(frozen=True)
class Line:
    """One system in a plot.

    Attributes:
        name: in the legend.
        scores: (n,) of the images.
        style: matplotlib's keywords.
    """

    name: str
    scores: Floats
    style: Mapping[str, Any]


def roc_plot(lines: Sequence[Line], labels: Labels) -> str:
    """Draw the share of defects found over the share of normal images flagged."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("normal images flagged (false-positive rate)", "defects found (true-positive rate)")
        axes.plot([0, 1], [0, 1], color="#c9d0d9", linewidth=1)
        for line in lines:
            curves = curves_of(line.scores, labels)
            axes.plot(curves.fpr[0], curves.tpr[0], label=line.name, **line.style)
        _shares(axes)
        axes.legend(loc="lower right")
        return to_svg(figure)


def precision_recall_plot(lines: Sequence[Line], labels: Labels) -> str:
    """Draw the share of flagged images that are defective over the share of defects found."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("defects found (recall)", "flagged images that are defective (precision)")
        axes.axhline(float((labels == 1).mean()), color="#c9d0d9", linewidth=1)
        for line in lines:
            curves = curves_of(line.scores, labels)
            axes.step(curves.tpr[0, 1:], curves.precision[0, 1:], where="pre", label=line.name, **line.style)
        _shares(axes)
        axes.legend(loc="lower left")
        return to_svg(figure)


def histogram_plot(scores: Floats, labels: Labels, threshold: float) -> str:
    """Draw how the scores of either class are spread, and the threshold; scores of +inf fall into the last bin."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("anomaly score", "share of the class", wide=True)
        finite = np.append(scores[np.isfinite(scores)], threshold)
        edges = np.linspace(finite.min(), max(finite.max(), finite.min() + 1e-9), _BINS + 1)
        for value, name, colour, hatch in ((0, "normal", BLUE, None), (1, "anomalous", VERMILLION, "////")):
            chosen = np.clip(scores[labels == value], None, edges[-1])
            if chosen.size:
                share = np.histogram(chosen, edges)[0] / chosen.size
                axes.stairs(
                    share, edges, fill=True, color=colour, alpha=0.3, hatch=hatch, label=f"{name} ({chosen.size})"
                )
                axes.stairs(share, edges, color=colour, linewidth=1.5)
        axes.axvline(
            threshold, color="#1b2430", linewidth=1.6, linestyle=(0, (4, 2)), label=f"threshold {threshold:.4g}"
        )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        axes.legend(loc="upper right")
        return to_svg(figure)


def curve_plot(curve: Curve) -> str:
    """Draw the AUROC of the best score so far over the number of iterations, with its 95% band."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("iterations of the search", "AUROC", wide=True)
        if curve.encoder_start is not None:
            _band(axes, curve.iterations, curve.encoder_start, "from the encoder's start", SYSTEM_STYLES["search"])
        _band(axes, curve.iterations, curve.random_start, "from random starts", SYSTEM_STYLES["pca"])
        axes.set_xscale("log")
        axes.set_xticks(list(curve.iterations))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.legend(loc="lower right")
        return to_svg(figure)


def _band(axes: Axes, iterations: Sequence[int], line: Sequence[Interval], name: str, style: Mapping[str, Any]) -> None:
    low, high = [point.low for point in line], [point.high for point in line]
    axes.fill_between(iterations, low, high, color=style["color"], alpha=0.12, linewidth=0)
    axes.plot(iterations, [point.value for point in line], marker="o", markersize=4.5, label=name, **style)


def _shares(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
