"""The coordinator's status document, as far as the operator reads it. Fields that it does not know are passed over."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gmeta_api.status import LARGEST, Count, ExportStatus, LastCheckpoint, Progress, Seconds, ShortText
from gmeta_operator.timestamps import to_text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


def _within(lowest: float, highest: float) -> AfterValidator:
    """What lies beyond is cut, and what is not finite left out: a loss that explodes must not stop the status."""

    def bounded(value: float | None) -> float | None:
        return min(max(value, lowest), highest) if value is not None and math.isfinite(value) else None

    return AfterValidator(bounded)


_Measure = Annotated[float | None, _within(-LARGEST, LARGEST)]
_Share = Annotated[float | None, _within(0.0, 1.0)]


class ReportedProgress(_Part):
    """How far the job is."""

    epoch: Count
    step: Count
    total_steps: Count
    samples: Count
    samples_per_second: _Measure
    tasks_per_second: _Measure
    loss: _Measure = None
    auc: _Share = None


class ReportedRow(_Part):
    """Quality on one label at one shot."""

    label: str = ""
    adapted: bool
    gauc: _Share = None


class ReportedEvaluation(_Part):
    """The last evaluation."""

    rows: tuple[ReportedRow, ...] = ()


class ReportedCommit(_Part):
    """The newest commit."""

    attempt: Count
    step: Count
    path: str


class ReportedExport(_Part):
    """The export that is whole or being made."""

    volume: ShortText
    path: Annotated[str, Field(max_length=1024)]
    step: Count
    created: AwareDatetime | None = None

    def __str__(self) -> str:
        return f"step {self.step} is being exported to {self.path} of volume {self.volume}"


class ReportedEnd(_Part):
    """How the attempt ended."""

    outcome: str
    message: str
    exit_code: int


class ReportedGoodput(_Part):
    """Where the time of training went, over all attempts."""

    training: bool = False
    productive_seconds: Seconds = 0.0
    commit_seconds: Seconds = 0.0
    input_seconds: Seconds = 0.0
    straggler_seconds: Seconds = 0.0
    rework_seconds: Seconds = 0.0
    regroup_seconds: Seconds = 0.0


class Report(_Part):
    """What the coordinator says."""

    attempt: int
    progress: ReportedProgress | None = None
    commit: ReportedCommit | None = None
    last_evaluation: ReportedEvaluation | None = None
    export: ReportedExport | None = None
    goodput: ReportedGoodput | None = None
    finished: ReportedEnd | None = None

    @property
    def step(self) -> int | None:
        """Steps that are done. Progress is told every few seconds, so the newest commit may be ahead of it."""
        known = [part.step for part in (self.progress, self.commit) if part is not None]
        return max(known, default=None)


def read_report(text: str | bytes | None) -> Report | None:
    """The document in a text, or None if there is none: a pod that died in another way leaves other words."""
    try:
        return Report.model_validate_json(text) if text else None
    except ValidationError:
        return None


def progress_status(report: Report) -> dict[str, Any] | None:
    """The report's progress as `status.progress`."""
    if report.progress is None or report.step is None:
        return None
    progress = {**report.progress.model_dump(), "step": report.step}
    total = report.progress.total_steps
    percent = min(100, 100 * report.step // total) if total else None
    return _camel(Progress(**progress, percent=percent, gauc=_gauc(report.last_evaluation)))


def checkpoint_status(report: Report) -> dict[str, Any] | None:
    """The report's newest commit as `status.lastCheckpoint`."""
    return None if report.commit is None else _camel(LastCheckpoint(**report.commit.model_dump()))


def export_status(report: Report) -> dict[str, Any] | None:
    """The report's export as `status.export`, once it is whole."""
    export = report.export
    if export is None or export.created is None:
        return None
    return _camel(ExportStatus(**export.model_dump(exclude={"created"}), created=to_text(export.created)))


def _gauc(evaluation: ReportedEvaluation | None) -> float | None:
    """Of the first label, as the AUC is."""
    rows = evaluation.rows if evaluation else ()
    values = [row.gauc for row in rows if row.label == rows[0].label and row.adapted and row.gauc is not None]
    return sum(values) / len(values) if values else None


def _camel(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_none=True)
