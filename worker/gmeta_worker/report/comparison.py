"""Runs side by side: their reports, and the scores of one split. Pure but for the reading of `report.json`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gmeta_api.errors import CheckpointError
from gmeta_worker.coordination.messages import MetricRow
from gmeta_worker.report.model import EvaluationPoint, Report

REPORT_NAME = "report.json"


@dataclass(frozen=True)
class Run:
    """A run that has ended, under the name by which it is shown."""

    name: str
    report: Report

    @property
    def steps(self) -> int:
        """Global steps trained."""
        return self.report.curve[-1].step if self.report.curve else 0

    def evaluation(self, split: str) -> EvaluationPoint | None:
        """The last evaluation of a split."""
        return self.report.last_evaluations().get(split)


@dataclass(frozen=True)
class Line:
    """The score of one run on one label at one shot and in one mode, and the first run's; None where there is none."""

    label: str
    shot: int
    adapted: bool
    run: str
    score: MetricRow | None
    first: MetricRow | None

    def value(self, measure: str) -> float:
        """A measure of the run, NaN where there is none."""
        return math.nan if self.score is None else float(getattr(self.score, measure))

    def difference(self, measure: str) -> float:
        """What the run has more than the first one, NaN where one of them is missing."""
        return math.nan if self.first is None else self.value(measure) - float(getattr(self.first, measure))


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read the reports of run folders. A run is named after its folder, or its whole path where names are not unique.

    Raises:
        CheckpointError: a folder holds no report, or a damaged one.
    """
    names = [folder.resolve().name for folder in folders]
    unique = len(set(names)) == len(names)
    return [
        Run(name if unique else str(folder), read_report(folder)) for name, folder in zip(names, folders, strict=True)
    ]


def read_report(folder: Path) -> Report:
    """Read the report of a run folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = folder / REPORT_NAME
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); expected the run folder of a job that has ended "
            "(spec.checkpoint.path on its volume): its coordinator writes the report at the end"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CheckpointError(f"{path}: {where}: {first['msg']}; the file is damaged, run the job again") from error


def compared_split(runs: Sequence[Run], wanted: str | None) -> str:
    """The split to compare on: the wanted one, else the one that the first run was scored on at its end.

    Raises:
        CheckpointError: no run was scored on it, or the first one on none.
    """
    known = list(dict.fromkeys(split for run in runs for split in run.report.last_evaluations()))
    split = wanted or next(iter(runs[0].report.last_evaluations()), None)
    if split is None:
        raise CheckpointError(f"run {runs[0].name}: was never evaluated; name a split with --split, or leave it out")
    if split not in known:
        scored = f"they were scored on {', '.join(known)}" if known else "none of them was ever evaluated"
        raise CheckpointError(f"split '{split}': no run was scored on it; {scored}")
    return split


def compare(runs: Sequence[Run], split: str) -> list[Line]:
    """The scores of `split` by label, shot and mode, each run next to the others."""
    by_run = {run.name: _scores(run, split) for run in runs}
    labels = list(dict.fromkeys(label for scores in by_run.values() for label, _, _ in scores))
    cells = {cell for scores in by_run.values() for cell in scores}
    ordered = sorted(cells, key=lambda cell: (labels.index(cell[0]), *cell[1:]))
    first = by_run[runs[0].name]
    return [Line(*cell, name, scores.get(cell), first.get(cell)) for cell in ordered for name, scores in by_run.items()]


def _scores(run: Run, split: str) -> dict[tuple[str, int, bool], MetricRow]:
    point = run.evaluation(split)
    return {} if point is None else {(row.label, row.shot, row.adapted): row for row in point.rows}
