"""Figures of a comparison, of the first label, as PNG bytes: a colour for each run, solid when adapted, else dashed."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmeta_worker.report.comparison import Line, Run
from gmeta_worker.report.figures import QUALITIES, label, label_steps, over_steps, to_png
from gmeta_worker.report.style import PHASES, new_figure, title


def draw_comparison(runs: Sequence[Run], split: str, lines: Sequence[Line]) -> dict[str, bytes]:
    """Return the PNG of each figure by name."""
    return {"shots": to_png(_by_shot(runs, split, lines)), "training": to_png(_by_step(runs))}


def _by_shot(runs: Sequence[Run], split: str, lines: Sequence[Line]) -> Figure:
    figure, panels = new_figure(panels=2, height=3.8)
    lines = [line for line in lines if line.label == lines[0].label]
    shots = sorted({line.shot for line in lines})
    for axes, (metric, name) in zip(panels, QUALITIES, strict=True):
        for place, run in enumerate(runs):
            for adapted in (True, False):
                own = [line for line in lines if line.run == run.name and line.adapted is adapted]
                points = [(shots.index(line.shot), line.value(metric)) for line in own]
                _draw(axes, points, place, run.name, dashed=not adapted)
        axes.set_xticks(range(len(shots)), [str(shot) for shot in shots])
        title(axes, f"{name}: {split}")
        label(axes, "shots (support rows a task)", metric.upper())
    return figure


def _by_step(runs: Sequence[Run]) -> Figure:
    """The adapted model on the split that is evaluated during training, at the largest shot."""
    figure, panels = new_figure(panels=2, height=3.8)
    for axes, (metric, _) in zip(panels, QUALITIES, strict=True):
        for place, run in enumerate(runs):
            _draw(axes, over_steps(run.report.watched(), metric, adapted=True), place, run.name, dashed=False)
        title(axes, f"{metric.upper()} during training")
        label_steps(axes, metric.upper())
    return figure


def _draw(axes: Axes, points: Sequence[tuple[float, float]], place: int, name: str, *, dashed: bool) -> None:
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            color=PHASES[place % len(PHASES)],
            linewidth=1.8,
            linestyle="--" if dashed else "-",
            marker="o",
            markersize=4,
            label="_" if dashed else name,
        )
