"""Figures of a sweep, as PNG bytes."""

import json
import math
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from gmeta_worker.report.figures import label, to_png
from gmeta_worker.report.style import ADAPTED, FAINT, NEUTRAL, UNADAPTED, new_figure, title
from gmeta_worker.sweep.result import SweepResult, TrialResult
from gmeta_worker.sweep.space import short_names
from gmeta_worker.sweep.spec import ParameterSpec

PANELS = 3
"""Parameters side by side."""


def draw_sweep(result: SweepResult, space: Sequence[ParameterSpec]) -> Iterator[tuple[str, bytes]]:
    """Caption and PNG of each figure that has data."""
    if not result.ranked():
        return
    yield "The metric of each trial in order, and the best one so far.", to_png(_history(result))
    names = short_names([parameter.path for parameter in space])
    for first in range(0, len(space), PANELS):
        group = space[first : first + PANELS]
        yield f"{result.metric} of the complete trials by parameter.", to_png(_by_parameter(result, group, names))
    if result.importance:
        yield (
            "Importance: the share of each parameter in being among the best tenth of the trials (PED-ANOVA).",
            to_png(_importance(result, names)),
        )


def running_best(trials: Sequence[TrialResult], *, minimize: bool) -> list[tuple[int, float]]:
    """Number and value of each complete trial that beats all before it, and of the last one."""
    points: list[tuple[int, float]] = []
    for trial in trials:
        if trial.state == "complete" and trial.value is not None:
            best = trial.value if not points else (min if minimize else max)(points[-1][1], trial.value)
            points.append((trial.number, best))
    return points


def _history(result: SweepResult) -> Figure:
    figure, (axes,) = new_figure()
    for state, color, marker in (("complete", ADAPTED, "o"), ("pruned", FAINT, "x")):
        trials = [trial for trial in result.trials if trial.state == state and trial.value is not None]
        if trials:
            numbers, values = [trial.number for trial in trials], [trial.value or math.nan for trial in trials]
            axes.scatter(numbers, values, s=22, color=color, marker=marker, label=state)
    best = running_best(result.trials, minimize=result.direction == "minimize")
    axes.step(*zip(*best, strict=True), where="post", color=UNADAPTED, linewidth=1.6, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title(axes, f"{result.metric} by trial: {result.split}")
    label(axes, "trial", result.metric)
    return figure


def _by_parameter(result: SweepResult, group: Sequence[ParameterSpec], names: dict[str, str]) -> Figure:
    figure, panels = new_figure(panels=PANELS, height=2.8)
    trials = result.ranked()
    for axes, parameter in zip(panels, group, strict=False):
        _parameter_panel(axes, parameter, trials)
        title(axes, names[parameter.path])
    panels[0].set_ylabel(result.metric)
    for unused in panels[len(group) :]:
        unused.set_visible(False)
    return figure


def _parameter_panel(axes: Axes, parameter: ParameterSpec, trials: Sequence[TrialResult]) -> None:
    received = [trial.params[parameter.path] for trial in trials]
    if parameter.choices is None:
        places = [float(str(value)) for value in received]
        if parameter.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        if parameter.type == "int":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        places = [float(parameter.choices.index(value)) for value in received]
        axes.set_xticks(range(len(parameter.choices)), [json.dumps(choice) for choice in parameter.choices])
    axes.scatter(places, [trial.value or math.nan for trial in trials], s=18, color=ADAPTED)


def _importance(result: SweepResult, names: dict[str, str]) -> Figure:
    shares = sorted(result.importance.items(), key=lambda item: item[1])
    figure, (axes,) = new_figure(height=0.9 + 0.36 * len(shares))
    bars = axes.barh([names[path] for path, _ in shares], [share for _, share in shares], color=NEUTRAL, height=0.62)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in shares], padding=4, fontsize=9)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.1)
    title(axes, "Importance")
    return figure
