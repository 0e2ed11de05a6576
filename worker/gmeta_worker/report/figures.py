"""The report's figures, as PNG bytes; quality is that of the first label. A figure without data is left out."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gmeta_worker.coordination.labels import of_first_label
from gmeta_worker.report.model import EvaluationPoint, Report, SpeedPoint
from gmeta_worker.report.style import ADAPTED, DPI, FAINT, NEUTRAL, PHASES, UNADAPTED, new_figure, title

SMOOTHING_POINTS = 9
LONG_RUN_SECONDS = 300.0
MODES = ((True, "adapted", ADAPTED), (False, "un-adapted", UNADAPTED))

Metric = Literal["auc", "gauc", "loss"]
QUALITIES: tuple[tuple[Metric, str], ...] = (("auc", "AUC (pooled)"), ("gauc", "GAUC (mean over tasks)"))


def draw_figures(report: Report) -> dict[str, bytes]:
    """Return the PNG of each figure that has data, by name."""
    drawn = {name: draw(report) for name, draw in FIGURES.items()}
    return {name: to_png(figure) for name, figure in drawn.items() if figure is not None}


def loss_figure(report: Report) -> Figure | None:
    """Draw the outer loss over the steps, and the loss on the split that is evaluated during training."""
    points = [(point.step, point.loss) for point in report.curve if math.isfinite(point.loss)]
    if not points:
        return None
    figure, (axes,) = new_figure()
    _training_loss(axes, points)
    for adapted, mode, color in MODES:
        _line(axes, over_steps(report.watched(), "loss", adapted), color, f"{report.setup.split}, {mode}")
    title(axes, "Loss")
    label_steps(axes, "binary cross entropy")
    return figure


def quality_figure(report: Report) -> Figure | None:
    """Draw AUC and GAUC over the steps, at the largest shot."""
    watched = report.watched()
    if not watched:
        return None
    figure, panels = new_figure(panels=2)
    for axes, (metric, name) in zip(panels, QUALITIES, strict=True):
        for adapted, mode, color in MODES:
            _line(axes, over_steps(watched, metric, adapted), color, mode)
        title(axes, f"{name}: {report.setup.split}, {_shots(watched[-1])[-1]}-shot")
        label_steps(axes, metric.upper())
    return figure


def shots_figure(report: Report) -> Figure | None:
    """Draw AUC and GAUC of the last evaluation by shot: what adaptation is worth."""
    point = next(iter(report.last_evaluations().values()), None)
    if point is None:
        return None
    figure, panels = new_figure(panels=2)
    shots = _shots(point)
    for axes, (metric, name) in zip(panels, QUALITIES, strict=True):
        for adapted, mode, color in MODES:
            values = {row.shot: getattr(row, metric) for row in of_first_label(point.rows) if row.adapted == adapted}
            _line(axes, [(place, values.get(shot, math.nan)) for place, shot in enumerate(shots)], color, mode)
        axes.set_xticks(range(len(shots)), [str(shot) for shot in shots])
        title(axes, f"{name}: {point.split}")
        label(axes, "shots (support rows a task)", metric.upper())
    return figure


def throughput_figure(report: Report) -> Figure | None:
    """Draw samples and task batches a second over time."""
    points = report.throughput.points
    if not points:
        return None
    figure, (left, right) = new_figure(panels=2)
    _speed(left, points, [point.samples_per_second for point in points], "Samples a second", "samples/s")
    _speed(right, points, [point.tasks_per_second for point in points], "Task batches a second", "task batches/s")
    return figure


def time_figure(report: Report) -> Figure | None:
    """Draw where the time went, by phase."""
    phases = sorted(report.phases.items(), key=lambda item: item[1])
    total = sum(report.phases.values())
    if total <= 0:
        return None
    figure, (axes,) = new_figure(height=0.9 + 0.42 * len(phases))
    colors = [PHASES[place % len(PHASES)] for place in range(len(phases))]
    bars = axes.barh([name for name, _ in phases], [seconds for _, seconds in phases], color=colors[::-1], height=0.62)
    axes.bar_label(bars, [f"{seconds:.1f} s ({seconds / total:.0%})" for _, seconds in phases], padding=4, fontsize=9)
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    title(axes, "Where the time went")
    axes.set_xlabel("exposed seconds")
    return figure


FIGURES: dict[str, Callable[[Report], Figure | None]] = {
    "shots": shots_figure,
    "quality": quality_figure,
    "loss": loss_figure,
    "throughput": throughput_figure,
    "time": time_figure,
}
"""Every figure, in the order of the page."""


def _training_loss(axes: Axes, points: Sequence[tuple[int, float]]) -> None:
    steps, losses = (np.array(values) for values in zip(*points, strict=True))
    if len(points) <= 2 * SMOOTHING_POINTS:
        axes.plot(steps, losses, color=NEUTRAL, linewidth=1.6, marker=".", label="training")
        return
    axes.plot(steps, losses, color=FAINT, linewidth=1, label="training, single steps")
    axes.plot(steps, _moving_mean(losses), color=NEUTRAL, linewidth=1.8, label=f"mean of {SMOOTHING_POINTS}")


def _moving_mean(values: np.ndarray) -> np.ndarray:
    """Return the centred moving mean; it is over fewer values near the ends."""
    window = np.ones(SMOOTHING_POINTS)
    sums, counts = (np.convolve(each, window, mode="same") for each in (values, np.ones(len(values))))
    return np.asarray(sums / counts)


def over_steps(points: Sequence[EvaluationPoint], metric: Metric, adapted: bool) -> list[tuple[float, float]]:
    """Return a metric of the first label at the largest shot of the last evaluation, over the steps."""
    if not points:
        return []
    shot = _shots(points[-1])[-1]
    return [
        (point.step, getattr(row, metric))
        for point in points
        for row in of_first_label(point.rows)
        if row.adapted == adapted and row.shot == shot
    ]


def _shots(point: EvaluationPoint) -> list[int]:
    return sorted({row.shot for row in point.rows})


def _line(axes: Axes, points: Sequence[tuple[float, float]], color: str, label: str) -> None:
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if known:
        axes.plot(*zip(*known, strict=True), color=color, linewidth=2, marker="o", markersize=4.5, label=label)


def _speed(axes: Axes, points: Sequence[SpeedPoint], values: Sequence[float], name: str, unit: str) -> None:
    scale, time_unit = (60.0, "minutes") if points[-1].at > LONG_RUN_SECONDS else (1.0, "seconds")
    axes.plot(
        [point.at / scale for point in points],
        values,
        color=ADAPTED,
        linewidth=1.6,
        marker="." if len(values) <= 2 * SMOOTHING_POINTS else "",
    )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    title(axes, name)
    axes.set_xlabel(f"{time_unit} since the job began")
    axes.set_ylabel(unit)


def label_steps(axes: Axes, y: str) -> None:
    """Label the axes of a panel over the steps."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    label(axes, "step", y)


def label(axes: Axes, x: str, y: str) -> None:
    """Label the axes of a panel, and add a legend where something is drawn."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
