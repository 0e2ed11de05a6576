"""The status document: what `gmeta run` and the operator poll at GET /v1/status."""

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.record import Measure, Record
from gmeta_worker.coordination.goodput import Goodput, training_seconds
from gmeta_worker.coordination.membership import Membership
from gmeta_worker.coordination.messages import Cause, CommitRef, Evaluation, Export, Finish, Outcome
from gmeta_worker.coordination.rates import rates
from gmeta_worker.coordination.state import State, commit_ref

JobState = Literal["pending", "running"] | Outcome


class ProgressStatus(Record):
    """How far the job is and how fast it goes."""

    epoch: NonNegativeInt
    epochs: NonNegativeInt | None
    step: NonNegativeInt
    total_steps: NonNegativeInt
    samples: NonNegativeInt
    samples_per_second: float
    tasks_per_second: float
    loss: Measure
    auc: Measure
    input_wait_share: float


class WorkerStatus(Record):
    """One member of the current generation."""

    worker: NonNegativeInt
    first_rank: NonNegativeInt
    ranks: PositiveInt
    host: str
    seconds_since_message: float


class GoodputStatus(Goodput):
    """Where the job's time went, and whether its ranks are in their training loops now, as far as is known."""

    training: bool = False
    training_seconds: NonNegativeFloat = 0.0


class Status(Record):
    """Everything that is known about a running job.

    `restarts` counts the rounds that have ended, by cause; `reason` says why the last one did, or why this one is over.
    """

    job: JobIdentity
    state: JobState
    attempt: NonNegativeInt
    generation: NonNegativeInt
    progress: ProgressStatus | None
    commit: CommitRef | None
    commits: NonNegativeInt
    last_evaluation: Evaluation | None
    evaluations: NonNegativeInt
    export: Export | None
    workers: tuple[WorkerStatus, ...]
    waiting: tuple[NonNegativeInt, ...]
    world_size: NonNegativeInt
    reason: str
    restarts: dict[Cause, NonNegativeInt]
    warnings: tuple[str, ...]
    goodput: GoodputStatus
    finished: Finish | None


def status_of(state: State, job: JobIdentity, epochs: int | None, now: float) -> Status:
    """Return the status document of `state` at `now` (seconds on the job's clock)."""
    newest, membership = state.commits.newest, state.membership
    return Status(
        job=job,
        state=_job_state(state),
        attempt=state.attempt,
        generation=state.generation,
        progress=_progress(state, epochs),
        commit=commit_ref(newest) if newest else None,
        commits=state.commits.made,
        last_evaluation=state.evaluation and state.evaluation.model_copy(update={"classes": ()}),
        evaluations=state.evaluations,
        export=_export(state),
        workers=tuple(_workers(membership, now)),
        waiting=tuple(membership.waiting),
        world_size=membership.world_size,
        reason=membership.end.reason if membership.end else membership.reason,
        restarts=dict(membership.restarts),
        warnings=state.warnings,
        goodput=_goodput(state),
        finished=state.finished,
    )


def _job_state(state: State) -> JobState:
    if state.finished:
        return state.finished.outcome
    return "running" if state.membership.members else "pending"


def _export(state: State) -> Export | None:
    """The export that is whole or being made; one that was broken off with its round is neither."""
    export = state.export
    return export if export and (export.created or export.generation == state.generation) else None


def _goodput(state: State) -> GoodputStatus:
    spent = state.account.spent
    return GoodputStatus(
        **spent.model_dump(),
        training=state.account.last is not None and state.membership.end is None,
        training_seconds=training_seconds(spent),
    )


def _progress(state: State, epochs: int | None) -> ProgressStatus | None:
    if state.progress is None:
        return None
    speed = rates(state.window)
    return ProgressStatus(
        epoch=state.progress.epoch,
        epochs=epochs,
        step=state.progress.step,
        total_steps=state.progress.total_steps,
        samples=state.progress.samples,
        samples_per_second=speed.samples,
        tasks_per_second=speed.tasks,
        loss=state.progress.loss,
        auc=state.evaluation.auc if state.evaluation else math.nan,
        input_wait_share=speed.wait_share,
    )


def _workers(membership: Membership, now: float) -> Iterator[WorkerStatus]:
    for member in membership.members:
        if member.worker in membership.present:
            silence = max(0.0, now - membership.present[member.worker])
            yield WorkerStatus(
                worker=member.worker,
                first_rank=member.first_rank,
                ranks=member.ranks,
                host=member.host,
                seconds_since_message=silence,
            )
