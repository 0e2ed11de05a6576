"""What is known about a job: the status of a MetaTrainingJob."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gmeta_api.spec.base import ListMap, SpecModel

LARGEST = 9e15
"""Largest measure; the API server compares a whole number with the bound in 64 bits, where a larger one overflows."""


def _rounded(value: float) -> float:
    """A figure with six digits: `kubectl get` prints all that there are, and the run's folder has them in full."""
    return float(f"{value:.6g}")


Count = Annotated[int, Field(ge=0, le=2**53)]
Measure = Annotated[float, Field(ge=-LARGEST, le=LARGEST), AfterValidator(_rounded)]
Seconds = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1), AfterValidator(_rounded)]
Text = Annotated[str, Field(max_length=32768)]
ShortText = Annotated[str, Field(max_length=253)]
Timestamp = Annotated[str, Field(max_length=40)]
"""RFC 3339, in UTC."""


class Condition(SpecModel):
    """One aspect of a job's state; the shape of Kubernetes' metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316, pattern=r"^[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")] = (
        Field(description="The aspect, such as WorkersReady or Invalid.")
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    observed_generation: Count | None = Field(
        default=None, description="Generation of the spec that the condition was found for."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ] = Field(description="Cause of the last change, as one CamelCase word.")
    message: Text = Field(description="Cause of the last change, as a sentence.")


class Progress(SpecModel):
    """How far training is; figures of the last report of the coordinator."""

    epoch: Count | None = Field(default=None, description="Current pass over the training tasks, from 0.")
    step: Count | None = Field(default=None, description="Steps that are done, over all attempts.")
    total_steps: Count | None = Field(default=None, description="Steps that the run has in all.")
    percent: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Share of the steps that is done, in percent."
    )
    samples: Count | None = Field(default=None, description="Rows consumed, support and query.")
    samples_per_second: Measure | None = Field(default=None, description="Rows consumed in a second, over all ranks.")
    tasks_per_second: Measure | None = Field(default=None, description="Task batches in a second, over all ranks.")
    loss: Measure | None = Field(default=None, description="Mean query loss of the last steps.")
    auc: Share | None = Field(default=None, description="Adapted AUC of the last evaluation, pooled over all tasks.")
    gauc: Share | None = Field(default=None, description="Adapted AUC of the last evaluation, mean over the tasks.")


class WorkerCounts(SpecModel):
    """How many workers there are."""

    desired: Count = Field(default=0, description="Worker pods that the job should have.")
    ready: Count = Field(default=0, description="Worker pods that train.")


class RestartCounts(SpecModel):
    """How often something was started again."""

    counted: Count = Field(default=0, description="Restarts after failures that count.")
    uncounted: Count = Field(default=0, description="Restarts that do not, such as after a node was drained.")
    without_progress: Count = Field(
        default=0, description="Counted restarts in a row without a new commit: those that backoffLimit limits."
    )
    at_step: Count = Field(default=0, description="Step of the newest commit at the last counted restart.")


class LastCheckpoint(SpecModel):
    """The newest commit."""

    step: Count = Field(description="Step of the commit.")
    attempt: Count | None = Field(default=None, description="Attempt that wrote the commit.")
    path: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Folder of the commit, relative to checkpoint.path."
    )


class ExportStatus(SpecModel):
    """The newest whole export."""

    volume: ShortText = Field(description="Volume that the export is on.")
    path: Annotated[str, Field(max_length=1024)] = Field(description="Folder of the export, relative to the volume.")
    step: Count = Field(description="Step of the commit that was exported.")
    created: Timestamp = Field(description="When the export was made.")


class LastFailure(SpecModel):
    """The last failure and what it was taken for."""

    pod: ShortText | None = Field(default=None, description="Pod that failed.")
    node: ShortText | None = Field(default=None, description="Node that the pod was on.")
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="Exit code of the process; 64 to 69 are G-Meta's own."
    )
    reason: ShortText | None = Field(default=None, description="Kubernetes' reason, such as OOMKilled or Evicted.")
    failure_class: ShortText | None = Field(
        default=None, alias="class", description="Class of the failure, which decides what was done."
    )
    worker: Count | None = Field(default=None, description="Index of the worker that failed.")
    step: Count | None = Field(default=None, description="Step at which it failed.")
    action: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="What was done about it: Restart, RestartUncounted or Fail."
    )
    rule: ShortText | None = Field(
        default=None, description="Rule of faultTolerance.rules that decided; absent where the class did."
    )
    message: Text | None = Field(default=None, description="Last words of the process.")
    time: Timestamp | None = Field(default=None, description="When it failed.")


class AvoidedNode(SpecModel):
    """A node that the pods of all jobs rather do not go to for a while."""

    node: ShortText = Field(description="Name of the node.")
    reason: ShortText = Field(description="What was held against it, such as NodeLost.")
    pod: ShortText = Field(description="Pod that failed there.")
    until: Timestamp = Field(description="When it is forgotten.")


class LostSeconds(SpecModel):
    """Time in which the job was not brought forward, in seconds by cause."""

    scheduling: Seconds = Field(default=0.0, description="A pod has no node.")
    image: Seconds = Field(default=0.0, description="A container is being made: its image is pulled.")
    startup: Seconds = Field(default=0.0, description="Containers run, and no step is done yet.")
    restart: Seconds = Field(
        default=0.0, description="From a failure until training goes on, and steps that are done again."
    )
    commit: Seconds = Field(default=0.0, description="Training stands still for a commit.")
    input: Seconds = Field(default=0.0, description="Steps wait for the reader.")
    straggler: Seconds = Field(default=0.0, description="Ranks wait for the slowest one.")
    other: Seconds = Field(default=0.0, description="What no cause is known for.")


class Goodput(SpecModel):
    """Where the job's time went, up to the last change."""

    ratio: Share | None = Field(default=None, description="Productive time over productive and lost time.")
    productive_seconds: Seconds = Field(default=0.0, description="Time of work that has brought the job forward.")
    lost_seconds: LostSeconds = Field(default=LostSeconds(), description="Time that was lost, by cause.")
    preparation_seconds: Seconds = Field(
        default=0.0, description="Time in which the dataset was made; neither productive nor lost."
    )
    wall_seconds: Seconds = Field(default=0.0, description="All of these together.")
    suspended_seconds: Seconds = Field(default=0.0, description="Time in which the job was suspended, on top of it.")
    rework_seconds: Seconds = Field(
        default=0.0, description="The part of lostSeconds.restart in which steps were done again."
    )
    regroup_seconds: Seconds = Field(
        default=0.0, description="Time between two rounds of ranks, as the coordinator has told it."
    )
    phase: Annotated[str, Field(max_length=63)] | None = Field(
        default=None,
        description="What the time since then goes to: training, preparation, suspended, ended, or what it is lost to.",
    )
    since: Timestamp | None = Field(default=None, description="When the phase began.")


class Status(SpecModel):
    """What is known about a job."""

    state: Annotated[str, Field(max_length=63)] | None = Field(
        default=None,
        description="The job in one word: Pending, Preparing, Running, Restarting, Suspended, Succeeded or Failed.",
    )
    reason: ShortText | None = Field(default=None, description="Cause of the state, as one CamelCase word.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), ListMap("type")] = Field(
        default=(), description="Aspects of the state, one item for each type."
    )
    observed_generation: Count | None = Field(
        default=None, description="Generation of the spec that the status was written for."
    )
    attempt: Count | None = Field(default=None, description="Number of the group's start from a commit, from 0.")
    start_time: Timestamp | None = Field(
        default=None, description="When the first worker ran, since the job began or was resumed."
    )
    running_time: Timestamp | None = Field(
        default=None, description="When all pods first ran, since the job began or was resumed."
    )
    completion_time: Timestamp | None = Field(default=None, description="When the job ended.")
    progress: Progress | None = Field(default=None, description="How far training is.")
    workers: WorkerCounts | None = Field(default=None, description="How many workers there are.")
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Label selector of the worker pods, for the scale subresource."
    )
    restarts: RestartCounts | None = Field(default=None, description="How often something was started again.")
    last_checkpoint: LastCheckpoint | None = Field(default=None, description="The newest commit.")
    export: ExportStatus | None = Field(default=None, description="The newest whole export.")
    last_failure: LastFailure | None = Field(default=None, description="The last failure and what it was taken for.")
    avoided_nodes: Annotated[tuple[AvoidedNode, ...], Field(max_length=16)] | None = Field(
        default=None, description="Nodes on which pods of the job have failed lately."
    )
    leader_epoch: Count | None = Field(
        default=None, description="Epoch of the operator that wrote the status: each next leader's is higher."
    )
    goodput: Goodput | None = Field(default=None, description="Where the job's time went.")
