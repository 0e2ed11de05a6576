"""How the report's figures look."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

ADAPTED = "#0072b2"
UNADAPTED = "#d55e00"
NEUTRAL = "#56606b"
FAINT = "#b8c0c8"
PHASES = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00", "#f0e442", "#56606b")
"""Okabe and Ito's palette, which people with colour-blindness can tell apart."""

DPI = 144


def new_figure(panels: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side, without the parts that carry no data."""
    figure = Figure(figsize=(8.4, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = [figure.add_subplot(1, panels, panel + 1) for panel in range(panels)]
    for each in axes:
        each.grid(visible=True, color="#e6e9ec", linewidth=0.8)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(FAINT)
        each.tick_params(colors=NEUTRAL, labelsize=9)
        each.xaxis.label.set_color(NEUTRAL)
        each.yaxis.label.set_color(NEUTRAL)
    return figure, axes


def title(axes: Axes, text: str) -> None:
    """Put a title over the left end of a panel."""
    axes.set_title(text, loc="left", fontsize=11, fontweight="bold")
