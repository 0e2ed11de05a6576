"""What `report.json` holds. Version 1; the field descriptions are the documentation of the file."""

from typing import Literal

from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.manifest import Score
from gmeta_worker.checkpoint.record import Measure, Record
from gmeta_worker.coordination.goodput import Goodput
from gmeta_worker.coordination.messages import ClassRow, MetricRow, Outcome

REPORT_VERSION = 1


class Ending(Record):
    """How the run ended."""

    outcome: Outcome | Literal["unfinished"]
    message: str
    exit_code: int | None


class Setup(Record):
    """What was trained on what."""

    dataset: str = Field(description="Volume and path of the dataset, as `volume:path`.")
    support: dict[str, JsonValue] = Field(description="How a task's rows are cut into support and query set.")
    model: str
    algorithm: str
    inner: dict[str, JsonValue] = Field(description="Steps and rate of the inner loop.")
    tasks_per_step: NonNegativeInt
    split: str = Field(description="Split that is evaluated during training.")
    final_split: str = Field(description="Split that is evaluated after the last step.")


class EvaluationPoint(Record):
    """One evaluation."""

    at: NonNegativeFloat = Field(description="Seconds since the job began.")
    epoch: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    split: str
    rows: tuple[MetricRow, ...] = Field(description="Quality by shot, adapted and un-adapted.")
    classes: tuple[ClassRow, ...] = Field(default=(), description="The same by class of tasks.")


class CurvePoint(Record):
    """Training as it stood when it was reported."""

    at: NonNegativeFloat = Field(description="Seconds since the job began.")
    epoch: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    samples: NonNegativeInt = Field(description="Rows consumed so far, support and query.")
    tasks: NonNegativeInt = Field(description="Task batches consumed so far.")
    loss: Measure = Field(description="Outer loss of the step; null if it was not a number.")


class SpeedPoint(Record):
    """Speed between two reports of progress, over the seconds spent training."""

    at: NonNegativeFloat = Field(description="Seconds since the job began, at the later report.")
    samples_per_second: NonNegativeFloat
    tasks_per_second: NonNegativeFloat


class Throughput(Record):
    """Speed over the seconds spent training: evaluations and commits are left out."""

    samples_per_second: Measure = Field(description="Mean of the run; null if there is too little to tell.")
    tasks_per_second: Measure
    points: tuple[SpeedPoint, ...]


class CommitPoint(Record):
    """One commit."""

    at: NonNegativeFloat = Field(description="Seconds since the job began.")
    attempt: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    bytes: NonNegativeInt
    files: NonNegativeInt
    evaluation: Score | None = Field(description="What the commit is ranked by; null if it was not evaluated.")


class Report(Record):
    """A run as a whole: all attempts, with what was lost between commits left out of the curves."""

    version: Literal[1] = 1
    job: JobIdentity
    setup: Setup
    ending: Ending
    attempts: NonNegativeInt = Field(description="Attempts that have registered a worker.")
    restarts: NonNegativeInt = Field(description="Worker processes that had to be started after the first one.")
    wall_seconds: NonNegativeFloat = Field(description="From the first event to the last one.")
    goodput: Goodput = Field(default=Goodput(), description="What the seconds since the job began were used for.")
    training_seconds: NonNegativeFloat = Field(description="Spent in steps: all phases but evaluation and commit.")
    phases: dict[str, NonNegativeFloat] = Field(description="Exposed seconds by phase, all processes together.")
    bytes_read: NonNegativeInt = Field(description="Bytes read from the dataset.")
    input_wait_share: Measure = Field(description="Share of the training seconds that steps waited for input.")
    curve: tuple[CurvePoint, ...]
    evaluations: tuple[EvaluationPoint, ...]
    throughput: Throughput
    commits: tuple[CommitPoint, ...]

    def watched(self) -> tuple[EvaluationPoint, ...]:
        """Return the evaluations during training."""
        return tuple(point for point in self.evaluations if point.split == self.setup.split)

    def last_evaluations(self) -> dict[str, EvaluationPoint]:
        """Return the last evaluation of each split, the final split first."""
        latest = {point.split: point for point in self.evaluations}
        final = {split: point for split, point in latest.items() if split == self.setup.final_split}
        return final | latest
