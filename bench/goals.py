"""What a benchmark's ratios have to be, and how they are shown beside it: a table and a plot."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from rich.table import Table

from gmeta_worker.report.style import ADAPTED, DPI, NEUTRAL, UNADAPTED, title

WIDE = 30.0
"""Ratios this far apart are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Goal:
    """What a ratio has to reach.

    Attributes:
        reach: what is asked for.
        aim: what would be better still.
        at_most: whether it must not be above `reach`; else it must not be below.
    """

    reach: float
    aim: float | None = None
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        """Whether a ratio is what is asked for."""
        return ratio <= self.reach if self.at_most else ratio >= self.reach

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        return f"{bound} {self.reach:g}" + (f" (aim {self.aim:g})" if self.aim is not None else "")


Goals = Mapping[str, Goal]
"""By name of the ratio; not every one has a goal."""


def goals_by_ending(ratios: Mapping[str, float], endings: Goals) -> Goals:
    """The goals of all ratios whose names end in one of `endings`, such as the same ratio in several cases."""
    return {name: goal for name in ratios for ending, goal in endings.items() if name.endswith(ending)}


def missed(ratios: Mapping[str, float], goals: Goals) -> list[str]:
    """The names of the ratios that are not what is asked for."""
    return [name for name, goal in goals.items() if not goal.met(ratios[name])]


def goal_table(ratios: Mapping[str, float], goals: Goals) -> Table:
    """Every ratio beside its goal."""
    shown = Table("ratio", title="Ratios")
    for column in ("value", "goal", ""):
        shown.add_column(column, justify="right" if column == "value" else "left")
    for name, ratio in ratios.items():
        goal = goals.get(name)
        verdict = "" if goal is None else "met" if goal.met(ratio) else "MISSED"
        shown.add_row(name, f"{ratio:.3g}", "" if goal is None else str(goal), verdict)
    return shown


def plot(name: str, ratios: Mapping[str, float], goals: Goals) -> Figure:
    """A bar for each ratio, with a mark where its goal is."""
    figure = Figure(figsize=(8.4, 1.0 + 0.3 * len(ratios)), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for place, (label, ratio) in enumerate(ratios.items()):
        goal = goals.get(label)
        axes.barh(place, ratio, color=ADAPTED if goal is None or goal.met(ratio) else UNADAPTED, height=0.6)
        axes.text(ratio, place, f" {ratio:.3g}", va="center", fontsize=8, color=NEUTRAL)
        if goal is not None:
            axes.plot([goal.reach] * 2, [place - 0.45, place + 0.45], color="black", linewidth=1.6)
    if min(ratios.values()) > 0 and max(ratios.values()) > WIDE * min(ratios.values()):
        axes.set_xscale("log")
    axes.set_yticks(range(len(ratios)), list(ratios), fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    title(axes, f"{name}: ratios; a black mark is what is asked for")
    return figure
