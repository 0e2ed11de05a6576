"""The messages between worker, coordinator and whoever watches a job. Version 1; every one is a JSON object.

Totals (`step`, `samples`, `tasks`) count since the job began, as the ledger does. `seconds`, `bytes_read`,
`wait_seconds` and `straggler_seconds` are running totals of the sending process. So a lost or repeated message costs
nothing.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from gmeta_worker.checkpoint.ledger import Ledger
from gmeta_worker.checkpoint.manifest import FileEntry, Layout, Score
from gmeta_worker.checkpoint.record import Measure, Record

API_VERSION = "v1"

Outcome = Literal["succeeded", "stopped", "failed", "interrupted"]
Reason = Literal["invalid", "fenced", "finished", "order", "checkpoint"]
Cause = Literal["failed", "silent", "replaced", "left", "joined", "unreachable", "interrupted"]
"""Why a round ends: a rank failed; a rank or a worker fell silent; a worker was started again; one left; one came on
top; ranks lost each other; ranks were asked to stop."""


ProcessName = Annotated[str, Field(min_length=8, max_length=64)]
"""Random name of an agent process; a process that is started again has another one."""


class RankEnd(Record):
    """How a rank process has ended by itself."""

    rank: NonNegativeInt
    exit_code: int = Field(ge=0, le=255, description="As a shell has it: 128 + N where signal N ended it.")


class Join(Record):
    """A worker's agent asks to take part in the next round; sent again until there is a round for it."""

    kind: Literal["join"] = "join"
    attempt: NonNegativeInt
    worker: NonNegativeInt = Field(description="Index of the worker.")
    process: ProcessName
    host: str = Field(min_length=1, max_length=255, description="Where others of the job reach this worker.")
    port: int = Field(ge=1, le=65535, description="Where it would serve the store of a round that it is first in.")
    ranks: PositiveInt = Field(le=64, description="Ranks that it runs.")
    after: NonNegativeInt = Field(
        default=0, description="Generation of the last round that it was given; with it a lost reply can be told."
    )
    ended: tuple[RankEnd, ...] = Field(
        default=(), max_length=64, description="Its ranks of that round that ended by themselves."
    )


class Beat(Record):
    """An agent, or one of its ranks, is alive."""

    kind: Literal["beat"] = "beat"
    attempt: NonNegativeInt
    generation: NonNegativeInt
    process: ProcessName
    rank: NonNegativeInt | None = Field(default=None, description="The rank that sends it; null from the agent.")


class Leave(Record):
    """An agent says goodbye: its ranks have ended, and it does not come back."""

    kind: Literal["leave"] = "leave"
    attempt: NonNegativeInt
    process: ProcessName
    message: str = Field(default="", max_length=1024, description="Why.")


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
    straggler_seconds: NonNegativeFloat = Field(
        default=0.0, description="Seconds that the ranks, in the mean, have waited for the slowest one."
    )


class MetricRow(Record):
    """Quality on one label at one shot."""

    label: str = Field(default="", max_length=64, description="The label; empty from versions with one label only.")
    shot: NonNegativeInt
    adapted: bool
    auc: Measure
    gauc: Measure
    loss: Measure
    calibration: Measure = Field(default=math.nan, description="Mean predicted probability over the mean label.")
    calibration_error: Measure = Field(default=math.nan, description="Expected calibration error, 10 equal bins.")
    ndcg_5: Measure = Field(default=math.nan, description="Mean nDCG@5 of the tasks.")
    ndcg_10: Measure = Field(default=math.nan, description="Mean nDCG@10 of the tasks.")
    tasks: NonNegativeInt
    rows: NonNegativeInt


class ClassRow(MetricRow):
    """Quality at one shot on a class of tasks."""

    task_class: str = Field(max_length=64, description="Rows of its tasks, support and query, such as 10-29.")


class Evaluation(FromMember):
    """Quality of the model on a split."""

    kind: Literal["evaluation"] = "evaluation"
    epoch: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step.")
    split: str = Field(min_length=1, max_length=64)
    rows: tuple[MetricRow, ...] = Field(min_length=1, max_length=1024)
    classes: tuple[ClassRow, ...] = Field(default=(), max_length=4096, description="The same by class of tasks.")
    auc: Measure = Field(
        description="The AUC that stands for the whole: that of the first label, the mean over the shots."
    )


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


class Export(FromMember):
    """What the run delivers is being exported, or has been."""

    kind: Literal["export"] = "export"
    volume: str = Field(max_length=63)
    path: str = Field(max_length=512, description="Folder of the export, relative to the volume.")
    step: NonNegativeInt = Field(description="Global step of the commit that is exported.")
    created: AwareDatetime | None = Field(default=None, description="When it was made; null until it is whole.")


class Finish(Record):
    """The end of the attempt, said by a member, or (without a generation) by what supervises the members."""

    kind: Literal["finish"] = "finish"
    attempt: NonNegativeInt
    generation: NonNegativeInt | None = None
    outcome: Outcome
    message: str = Field(max_length=65536)
    exit_code: NonNegativeInt = Field(le=255)


Message = Join | Beat | Leave | Progress | Evaluation | ShardWritten | Export | Finish


class CommitRef(Record):
    """Names a commit."""

    attempt: NonNegativeInt
    generation: NonNegativeInt
    step: NonNegativeInt
    path: str = Field(description="Folder of the commit, relative to the run folder.")


class Member(Record):
    """A worker in a round."""

    worker: NonNegativeInt
    process: ProcessName
    host: str
    port: int
    first_rank: NonNegativeInt
    ranks: PositiveInt


class Formed(Record):
    """Among the job's events: a round was formed."""

    kind: Literal["formed"] = "formed"
    attempt: NonNegativeInt
    generation: NonNegativeInt
    members: tuple[Member, ...] = Field(min_length=1)
    commit: CommitRef | None
    cause: Cause | None = Field(default=None, description="Why the round before it ended; null for the first.")
    reason: str = Field(default="", description="The same in words.")


Recorded = Formed | Progress | Evaluation | ShardWritten | Export | Finish
"""What is kept among the job's events."""


class Round(Record):
    """A reply to Join: who takes part, and what all ranks begin from."""

    kind: Literal["round"] = "round"
    generation: NonNegativeInt
    members: tuple[Member, ...] = Field(min_length=1)
    place: NonNegativeInt = Field(description="Which of the members the receiver is.")
    world_size: PositiveInt
    commit: CommitRef | None = Field(description="Newest whole commit; null before the first.")
    warnings: tuple[str, ...] = Field(default=(), description="Damaged commits that were skipped.")
    weights: tuple[float, ...] = Field(description="Share of the work by rank; only their ratios count.")


class Wait(Record):
    """A reply to Join: not yet; ask again."""

    kind: Literal["wait"] = "wait"
    seconds: NonNegativeFloat
    message: str = Field(description="What is being waited for.")


class Ended(Record):
    """A reply to Join: the attempt has ended, there will be no further round."""

    kind: Literal["ended"] = "ended"
    outcome: Outcome
    message: str
    exit_code: NonNegativeInt


class Orders(Record):
    """The reply to Beat."""

    rejoin: bool = Field(description="The round is over: stop the ranks and join again.")
    grace: NonNegativeFloat = Field(default=0.0, description="Seconds that the ranks have to end by themselves.")
    message: str = Field(default="", description="Why.")
    ended: Ended | None = Field(default=None, description="How the attempt has ended, if it has.")


class Accepted(Record):
    """The reply to what needs no answer."""


class Committed(Record):
    """The reply to ShardWritten: the step is committed."""

    step: NonNegativeInt


class Refusal(Record):
    """The reply to a message that has no effect."""

    reason: Reason
    message: str


Reply = Round | Wait | Ended | Orders | Accepted | Committed | Refusal
