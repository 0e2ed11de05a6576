"""Deadlines of a job: by when all its pods have to have run, how long it may run, and when it goes after its end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.spec.run_policy import RunPolicySpec
from gmeta_operator.pods import PREPARE
from gmeta_operator.timestamps import from_text
from gmeta_operator.view import View


@dataclass(frozen=True)
class Deadline:
    """When a job fails if it is still not over, or has not begun; and the words for it."""

    at: datetime
    reason: str
    message: str


def deadlines(view: View) -> Iterator[Deadline]:
    """The deadlines that a job has at the moment."""
    policy = view.job.spec.run_policy
    if policy.active_deadline_seconds is not None and view.times.started is not None:
        seconds = policy.active_deadline_seconds
        words = f"the job has run for runPolicy.activeDeadlineSeconds of {seconds} s; {_committed(view)}"
        yield Deadline(view.times.started + timedelta(seconds=seconds), "DeadlineExceeded", words)
    if policy.pre_running_deadline_seconds is not None and view.times.waiting_since is not None and not _prepares(view):
        seconds = policy.pre_running_deadline_seconds
        words = f"not all pods have run within runPolicy.preRunningDeadlineSeconds of {seconds} s: {_missing(view)}"
        yield Deadline(view.times.waiting_since + timedelta(seconds=seconds), "PreRunningDeadlineExceeded", words)


def expiry(status: Mapping[str, Any], policy: RunPolicySpec) -> datetime | None:
    """When a job that has ended is deleted, if ever."""
    ended = from_text(status.get("completionTime"))
    if ended is None or policy.ttl_seconds_after_finished is None:
        return None
    return ended + timedelta(seconds=policy.ttl_seconds_after_finished)


def _prepares(view: View) -> bool:
    """Whether the dataset is being made, which takes the time that it takes."""
    return view.runs(view.newest.get(PREPARE))


def _committed(view: View) -> str:
    return f"step {view.committed} is committed" if view.committed else "nothing is committed"


def _missing(view: View) -> str:
    """Why the first of the pods that do not run does not."""
    pods = (view.newest.get(slot) for slot in view.slots)
    return next((view.why_not(pod)[1] for pod in pods if not view.runs(pod)), "they have not all run at the same time")
