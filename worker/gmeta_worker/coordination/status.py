"""The status document: what `gmeta run` and the operator poll at GET /v1/status."""

import math
from typing import Literal

from pydantic import NonNegativeInt

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.record import Measure, Record
from gmeta_worker.coordination.messages import CommitRef, Evaluation, Finish, Outcome
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
    rank: NonNegativeInt
    host: str
    pid: NonNegativeInt
    seconds_since_message: float


class Status(Record):
    """Everything that is known about a running job."""

    job: JobIdentity
    state: JobState
    attempt: NonNegativeInt
    generation: NonNegativeInt
    progress: ProgressStatus | None
    commit: CommitRef | None
    commits: NonNegativeInt
    last_evaluation: Evaluation | None
    evaluations: NonNegativeInt
    workers: tuple[WorkerStatus, ...]
    warnings: tuple[str, ...]
    finished: Finish | None


def status_of(state: State, job: JobIdentity, epochs: int | None, now: float) -> Status:
    """Return the status document of `state` at `now` (seconds on the job's clock)."""
    return Status(
        job=job,
        state=_job_state(state),
        attempt=state.attempt,
        generation=state.generation,
        progress=_progress(state, epochs),
        commit=commit_ref(state.commit) if state.commit else None,
        commits=state.commits,
        last_evaluation=state.evaluation,
        evaluations=state.evaluations,
        workers=_workers(state, now),
        warnings=state.warnings,
        finished=state.finished,
    )


def _job_state(state: State) -> JobState:
    if state.finished:
        return state.finished.outcome
    return "running" if state.member else "pending"


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


def _workers(state: State, now: float) -> tuple[WorkerStatus, ...]:
    if state.member is None:
        return ()
    member = state.member
    silence = max(0.0, now - state.heard)
    return (
        WorkerStatus(worker=member.worker, rank=0, host=member.host, pid=member.pid, seconds_since_message=silence),
    )
