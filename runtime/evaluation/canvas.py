"""What all drawings of the pages share: colours, axes, and SVG text.

    with mpl.rc_context(SETTINGS):
        figure, axes = new_axes("iterations", "AUROC")
        svg = to_svg(figure)

Colours are Okabe and Ito's, told apart with any colour vision; lines differ in their dashes too.
"""

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, GREY, LIGHT_GREY = "#0072B2", "#D55E00", "#009E73", "#5f6b7a", "#a3acb8"
ORANGE, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ganspect",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a94a3",
    "axes.labelcolor": "#333f50",
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "xtick.color": "#4a5565",
    "ytick.color": "#4a5565",
    "legend.frameon": False,
}
_SIZE_INCHES = (5.6, 4.2)


def new_axes(x_label: str, y_label: str, *, wide: bool = False) -> tuple[Figure, Axes]:
    """Return an empty figure, one and a half times as wide where it stands alone in its row."""
    width, height = _SIZE_INCHES
    figure = Figure(figsize=(1.55 * width if wide else width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure, axes


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG, the same text for the same drawing."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return text.getvalue()
