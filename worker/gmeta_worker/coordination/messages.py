"""The messages between worker, coordinator and whoever watches a job. Version 1; every one is a JSON object.

Totals (`step`, `samples`, `tasks`) count since the job began, as the ledger does. `seconds`, `bytes_read` and
`wait_seconds` are running totals of the sending process. So a lost or repeated message costs nothing.
"""

from typing import Literal, Self

from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from gmeta_worker.checkpoint.ledger import Ledger
from gmeta_worker.checkpoint.manifest import FileEntry, Layout, Score
from gmeta_worker.checkpoint.record import Measure, Record

API_VERSION = "v1"

Outcome = Literal["succeeded", "stopped", "failed", "interrupted"]
Reason = Literal["invalid", "fenced", "finished", "order", "checkpoint"]


class Register(Record):
    """A worker process asks to take part."""

    kind: Literal["register"] = "register"
    attempt: NonNegativeInt
    worker: NonNegativeInt = Field(description="Index of the worker.")
    host: str
    pid: PositiveInt
    process: str = Field(min_length=8, max_length=64, description="Random name of the process, the same in a retry.")


class FromMember(Record):
    """What a member of the current generation sends carries its fence."""

    attempt: NonNegativeInt
    generation: NonNegativeInt
    rank: NonNegativeInt


class Progress(FromMember):
    """Where a rank stands."""

    kind: Literal["progress"] = "progress"
    epoch: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    total_steps: NonNegativeInt = Field(description="Global steps of the whole run.")
    samples: NonNegativeInt
    tasks: NonNegativeInt
    loss: Measure
    seconds: dict[str, NonNegativeFloat] = Field(max_length=32, description="Exposed seconds by phase.")
    bytes_read: NonNegativeInt
    queue_depth: NonNegativeInt
    wait_seconds: NonNegativeFloat = Field(description="Seconds that steps have waited for input.")


class MetricRow(Record):
    """Quality at one shot."""

    shot: NonNegativeInt
    adapted: bool
    auc: Measure
    gauc: Measure
    loss: Measure
    tasks: NonNegativeInt
    rows: NonNegativeInt


class Evaluation(FromMember):
    """Quality of the model on a split."""

    kind: Literal["evaluation"] = "evaluation"
    epoch: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    split: str = Field(min_length=1, max_length=64)
    rows: tuple[MetricRow, ...] = Field(min_length=1, max_length=256)
    auc: Measure = Field(description="The AUC that stands for the whole: the mean over the shots.")


class ShardWritten(FromMember):
    """A rank has written its files of a commit, durably."""

    kind: Literal["shard_written"] = "shard_written"
    step: NonNegativeInt = Field(description="Global step that the files belong to.")
    files: tuple[FileEntry, ...]
    layout: Layout
    ledger: Ledger
    evaluation: Score | None = None
    trainer: dict[str, JsonValue] = Field(default={}, description="Small state of the training loop itself.")

    @model_validator(mode="after")
    def _same_step(self) -> Self:
        if self.ledger.global_step != self.step:
            raise ValueError(f"the ledger stands at step {self.ledger.global_step}, the files at step {self.step}")
        return self


class Finish(Record):
    """The end of the attempt, said by a member, or (without a generation) by what supervises the members."""

    kind: Literal["finish"] = "finish"
    attempt: NonNegativeInt
    generation: NonNegativeInt | None = None
    outcome: Outcome
    message: str = Field(max_length=65536)
    exit_code: NonNegativeInt = Field(le=255)


Message = Register | Progress | Evaluation | ShardWritten | Finish


class CommitRef(Record):
    """Names a commit."""

    attempt: NonNegativeInt
    generation: NonNegativeInt
    step: NonNegativeInt
    path: str = Field(description="Folder of the commit, relative to the run folder.")


class Welcome(Record):
    """The reply to Register: the process's place in the current generation, and where to go on from."""

    rank: NonNegativeInt
    world_size: PositiveInt
    generation: NonNegativeInt
    commit: CommitRef | None = Field(description="Newest whole commit; null before the first.")
    warnings: tuple[str, ...] = Field(default=(), description="Damaged commits that were skipped.")


class Accepted(Record):
    """The reply to what needs no answer."""


class Committed(Record):
    """The reply to ShardWritten: the step is committed."""

    step: NonNegativeInt


class Refusal(Record):
    """The reply to a message that has no effect."""

    reason: Reason
    message: str


Reply = Welcome | Accepted | Committed | Refusal
