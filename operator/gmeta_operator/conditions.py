"""The conditions of a job: which there are, and what they say for what is observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gmeta_operator.decide import Decision
from gmeta_operator.failures import outlook
from gmeta_operator.history import condition_status
from gmeta_operator.pods import COORDINATOR, PREPARE, Slot
from gmeta_operator.timestamps import to_text
from gmeta_operator.view import View

MAX_MESSAGE = 4096
STARTING = "Starting"
SUSPEND_REQUESTED = "SuspendRequested"
MOST_NAMES = 3
"""Pods that a message names."""


@dataclass(frozen=True)
class Aspect:
    """What one condition says."""

    kind: str
    status: str
    reason: str
    message: str


def aspects(view: View, decision: Decision) -> tuple[Aspect, ...]:
    """Every condition of a valid job but Invalid."""
    return (
        _suspended(view),
        _dataset_ready(view, decision),
        _attempt_started(view, decision),
        _group_ready("CoordinatorReady", view, decision, [COORDINATOR]),
        _group_ready("WorkersReady", view, decision, view.workers),
        _succeeded(view, decision),
    )


def unknown_aspects() -> tuple[Aspect, ...]:
    """The conditions of a job that is not acted upon because its spec is invalid."""
    kinds = ("Suspended", "DatasetReady", "AttemptStarted", "CoordinatorReady", "WorkersReady", "Succeeded")
    return tuple(Aspect(kind, "Unknown", "SpecInvalid", "see the condition Invalid") for kind in kinds)


def to_conditions(
    found: tuple[Aspect, ...], before: Mapping[str, Any], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as they are written: a transition time moves only when its status flips."""
    times = {each["type"]: each["lastTransitionTime"] for each in before.get("conditions", ())}
    return [
        {
            "type": aspect.kind,
            "status": aspect.status,
            "observedGeneration": generation,
            "lastTransitionTime": times[aspect.kind]
            if condition_status(before, aspect.kind) == aspect.status
            else to_text(now),
            "reason": aspect.reason,
            "message": aspect.message[:MAX_MESSAGE],
        }
        for aspect in found
    ]


def _suspended(view: View) -> Aspect:
    if view.job.spec.run_policy.suspend:
        return Aspect("Suspended", "True", *_suspension(view))
    return Aspect("Suspended", "False", "NotSuspended", "runPolicy.suspend is not set")


def _suspension(view: View) -> tuple[str, str]:
    """How far a suspension is, as reason and message."""
    there = (pod for pod in view.pods if not pod.lost(view.now))
    leaving = [pod.name for pod in there if not pod.ended or pod.leaves_by is not None]
    if leaving:
        return "Suspending", f"the processes commit and leave: {', '.join(leaving[:MOST_NAMES])}{_more(leaving)}"
    step = f"step {view.committed} is committed" if view.committed else "nothing is committed"
    return "Suspended", f"no pod runs; {step}; set runPolicy.suspend to false to go on"


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""


def _dataset_ready(view: View, decision: Decision) -> Aspect:
    if view.job.spec.data.prepare is None:
        return Aspect("DatasetReady", "True", "NoPreparation", "the manifest has no data.prepare")
    if view.history.prepared:
        return Aspect("DatasetReady", "True", "Prepared", "the dataset has been made")
    if view.job.spec.run_policy.suspend:
        return _idle("DatasetReady", SUSPEND_REQUESTED, "the job is suspended")
    found = _of_pods("DatasetReady", view, decision, [PREPARE])
    if found.status == "True":
        return Aspect("DatasetReady", "False", "Preparing", "the dataset is being made")
    return found


def _attempt_started(view: View, decision: Decision) -> Aspect:
    there = {*view.newest, *(start.slot for start in decision.start)}
    if view.history.started or there.issuperset(view.slots):
        return Aspect("AttemptStarted", "True", "PodsCreated", "every pod has been made once")
    if view.trouble is not None:
        return Aspect("AttemptStarted", "False", view.trouble.reason, view.trouble.message)
    return Aspect("AttemptStarted", "False", "Waiting", "pods are made once those of the former attempt have left")


def _group_ready(kind: str, view: View, decision: Decision, slots: Sequence[Slot]) -> Aspect:
    """Whether the pods that train run, and if not, why."""
    if decision.end is not None:
        return _idle(kind, "JobEnded", "the job has ended")
    if view.job.spec.run_policy.suspend:
        return _idle(kind, SUSPEND_REQUESTED, "the job is suspended")
    if PREPARE in view.slots:
        return _idle(kind, "WaitingForDataset", "the dataset comes first; see the condition DatasetReady")
    return _of_pods(kind, view, decision, slots)


def _idle(kind: str, reason: str, message: str) -> Aspect:
    return Aspect(kind, "False", reason, message)


def _of_pods(kind: str, view: View, decision: Decision, slots: Sequence[Slot]) -> Aspect:
    pods = [view.newest.get(slot) for slot in slots]
    ready = sum(view.runs(pod) for pod in pods)
    text = f"{ready} of {len(slots)} running"
    if ready == len(slots):
        return Aspect(kind, "True", "Running", text)
    if view.trouble is not None and decision.refused in slots:
        return Aspect(kind, "False", view.trouble.reason, f"{text}; {view.trouble.message}")
    starting = {start.slot for start in decision.start}
    others = [pod for slot, pod in zip(slots, pods, strict=True) if slot not in starting and not view.runs(pod)]
    reason, message = view.why_not(others[0]) if others else ("Pending", "being made")
    return Aspect(kind, "False", reason, f"{text}; {message}")


def _succeeded(view: View, decision: Decision) -> Aspect:
    if decision.end is not None:
        return Aspect(
            "Succeeded", "True" if decision.end.succeeded else "False", decision.end.reason, decision.end.message
        )
    _, reason, message = activity(view, decision)
    return Aspect("Succeeded", "Unknown", reason, message)


def activity(view: View, decision: Decision) -> tuple[str, str, str]:
    """State, reason and message of a job that has not ended."""
    if view.job.spec.run_policy.suspend:
        return "Suspended", *_suspension(view)
    if view.trouble is not None:
        return "Pending", view.trouble.reason, view.trouble.summary
    if decision.failure is not None:
        limits = view.job.spec.fault_tolerance
        next_step = outlook(decision.failure, limits, view.history.restarts, view.committed)
        return "Restarting", decision.failure.kind.name, f"{decision.failure}; {next_step}"
    stuck = next((pod for pod in view.newest.values() if view.waiting(pod) is not None and not pod.ended), None)
    if stuck is not None:
        return ("Pending", *view.why_not(stuck))
    if PREPARE in view.slots:
        return "Preparing", "Preparing", "the dataset is being made"
    if len(view.newest) == len(view.slots) and all(view.runs(pod) or pod.ended for pod in view.newest.values()):
        return _work(view)
    return "Pending", STARTING, "pods are starting"


def _work(view: View) -> tuple[str, str, str]:
    """What the pods of a job do that all run."""
    report = view.report
    export = report.export if report is not None and report.attempt == view.history.attempt else None
    if export is not None and export.created is None:
        return "Running", "Exporting", str(export)
    return "Running", "Training", "all pods run"
