"""The report as one HTML page that needs nothing else: figures inside, no links, no scripts."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from gmeta_worker.coordination.labels import by_label, titled
from gmeta_worker.coordination.messages import ClassRow, MetricRow
from gmeta_worker.report.model import Report

CAPTIONS = {
    "shots": "What adaptation is worth: quality on tasks the model has not trained on, before and after the inner loop "
    "on so many support rows. Un-adapted, a task gets the shared model.",
    "quality": "Quality during training, adapted and un-adapted.",
    "loss": "Outer loss of the training steps, and loss on the evaluated split.",
    "throughput": "Speed of training, evaluations and commits left out.",
    "time": "Exposed time by phase: what another phase hides does not count.",
}


@dataclass(frozen=True)
class ShotLine:
    """One line of an evaluation's table; a mode that was not evaluated is None."""

    shot: int
    unadapted: MetricRow | None
    adapted: MetricRow | None


@dataclass(frozen=True)
class ScoreTable:
    """The scores of a split on one label: of all tasks, and of each class of tasks."""

    split: str
    title: str
    step: int
    lines: list[ShotLine]
    classes: dict[str, list[ShotLine]]


def render_page(report: Report, figures: Mapping[str, bytes]) -> str:
    """Return the page of a report with its figures (PNG by name)."""
    tables = [
        ScoreTable(split, titled(f"{split} split", label), point.step, shot_lines(rows), class_lines(classes))
        for split, point in report.last_evaluations().items()
        for label, rows in by_label(point.rows).items()
        for classes in [by_label(point.classes).get(label, [])]
    ]
    images = [(name, CAPTIONS[name], base64.b64encode(png).decode()) for name, png in figures.items()]
    return environment().get_template("template.html").render(report=report, tables=tables, images=images)


def environment() -> Environment:
    """Return the templates of this package, with the filters below."""
    made = Environment(
        loader=PackageLoader("gmeta_worker.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {each.__name__: each for each in (metric, signed, gain, share, count, duration, size)}
    return made


def shot_lines(rows: Sequence[MetricRow]) -> list[ShotLine]:
    """Return the lines of an evaluation's table, by shot."""
    known = {(row.shot, row.adapted): row for row in rows}
    shots = sorted({row.shot for row in rows})
    return [ShotLine(shot, known.get((shot, False)), known.get((shot, True))) for shot in shots]


def class_lines(rows: Sequence[ClassRow]) -> dict[str, list[ShotLine]]:
    """Return the lines of each class of tasks, by shot."""
    names = dict.fromkeys(row.task_class for row in rows)
    return {name: shot_lines([row for row in rows if row.task_class == name]) for name in names}


def metric(value: float | None) -> str:
    """Return a quality or loss with four digits, n/a where it is undefined."""
    return "n/a" if value is None or math.isnan(value) else f"{value:.4f}"


def gain(line: ShotLine, name: str) -> str:
    """Return what adaptation has added to a metric, with its sign, n/a where one of the two is undefined."""
    if line.unadapted is None or line.adapted is None:
        return "n/a"
    return signed(getattr(line.adapted, name) - getattr(line.unadapted, name))


def signed(difference: float) -> str:
    """Return a difference of quality with its sign, n/a where it is undefined."""
    return "n/a" if math.isnan(difference) else f"{difference:+.4f}"


def share(value: float) -> str:
    """Return a share as per cent, n/a where it is undefined."""
    return "n/a" if math.isnan(value) else f"{value:.1%}"


def count(value: float) -> str:
    """Return a number without decimals, thousands apart, n/a where it is undefined."""
    return "n/a" if math.isnan(value) else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return seconds as a duration: 42.0 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count_of_bytes: int) -> str:
    """Return a number of bytes with a fitting unit."""
    value, units = float(count_of_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:,.0f} {units[0]}" if units[0] == "B" else f"{value:,.1f} {units[0]}"
