"""The conditions of a job: which there are, and what they say for what is observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gmeta_operator.decide import COORDINATOR, PREPARE, Decision, View, outlook
from gmeta_operator.history import condition_status
from gmeta_operator.pods import PodFacts, Slot
from gmeta_operator.timestamps import to_text

MAX_MESSAGE = 4096
CREATE_FAILED = "CreateFailed"
STARTING = "Starting"


@dataclass(frozen=True)
class Aspect:
    """What one condition says."""

    kind: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Refusal:
    """A pod whose creation was refused, and the API server's words."""

    slot: Slot
    message: str


def aspects(view: View, decision: Decision, refusal: Refusal | None) -> tuple[Aspect, ...]:
    """Every condition of a valid job but Invalid."""
    return (
        _suspended(view),
        _dataset_ready(view, refusal),
        _group_ready("CoordinatorReady", view, decision, [COORDINATOR], refusal),
        _group_ready("WorkersReady", view, decision, view.workers, refusal),
        _succeeded(view, decision, refusal),
    )


def unknown_aspects() -> tuple[Aspect, ...]:
    """The conditions of a job that is not acted upon because its spec is invalid."""
    kinds = ("Suspended", "DatasetReady", "CoordinatorReady", "WorkersReady", "Succeeded")
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
        return Aspect("Suspended", "True", "SuspendRequested", "runPolicy.suspend is set; no pod of the job runs on")
    return Aspect("Suspended", "False", "NotSuspended", "runPolicy.suspend is not set")


def _dataset_ready(view: View, refusal: Refusal | None) -> Aspect:
    if view.job.spec.data.prepare is None:
        return Aspect("DatasetReady", "True", "NoPreparation", "the manifest has no data.prepare")
    if view.history.prepared:
        return Aspect("DatasetReady", "True", "Prepared", "the dataset has been made")
    if view.job.spec.run_policy.suspend:
        return _idle("DatasetReady", "SuspendRequested", "the job is suspended")
    found = _of_pods("DatasetReady", view, [PREPARE], refusal)
    if found.status == "True":
        return Aspect("DatasetReady", "False", "Preparing", "the dataset is being made")
    return found


def _group_ready(kind: str, view: View, decision: Decision, slots: Sequence[Slot], refusal: Refusal | None) -> Aspect:
    """Whether the pods that train run, and if not, why."""
    if decision.end is not None:
        return _idle(kind, "JobEnded", "the job has ended")
    if view.job.spec.run_policy.suspend:
        return _idle(kind, "SuspendRequested", "the job is suspended")
    if PREPARE in view.slots:
        return _idle(kind, "WaitingForDataset", "the dataset comes first; see the condition DatasetReady")
    return _of_pods(kind, view, slots, refusal)


def _idle(kind: str, reason: str, message: str) -> Aspect:
    return Aspect(kind, "False", reason, message)


def _of_pods(kind: str, view: View, slots: Sequence[Slot], refusal: Refusal | None) -> Aspect:
    pods = [view.newest.get(slot) for slot in slots]
    ready = sum(pod is not None and pod.ready for pod in pods)
    text = f"{ready} of {len(slots)} running"
    if ready == len(slots):
        return Aspect(kind, "True", "Running", text)
    if refusal is not None and refusal.slot in slots:
        return Aspect(kind, "False", CREATE_FAILED, f"{text}; {refusal.message}")
    reason, message = next(why for pod in pods if (why := _why_not(pod)))
    return Aspect(kind, "False", reason, f"{text}; {message}")


def _why_not(pod: PodFacts | None) -> tuple[str, str] | None:
    """Why a pod does not run, as reason and message."""
    if pod is None:
        return "Missing", "a pod has yet to be made"
    if pod.ready:
        return None
    if pod.phase == "Succeeded":
        return "Completed", f"{pod.name} has done its work"
    if pod.phase == "Failed":
        return "Failed", f"{pod.name} has failed"
    if pod.leaves_by is not None:
        return "Terminating", f"{pod.name} is being deleted"
    if pod.waiting is not None:
        return pod.waiting.reason, f"{pod.name}: {pod.waiting.message or pod.waiting.reason}"
    return "Pending", f"{pod.name} is pending"


def _succeeded(view: View, decision: Decision, refusal: Refusal | None) -> Aspect:
    if decision.end is not None:
        return Aspect(
            "Succeeded", "True" if decision.end.succeeded else "False", decision.end.reason, decision.end.message
        )
    _, reason, message = activity(view, decision, refusal)
    return Aspect("Succeeded", "Unknown", reason, message)


def activity(view: View, decision: Decision, refusal: Refusal | None) -> tuple[str, str, str]:
    """State, reason and message of a job that has not ended."""
    if view.job.spec.run_policy.suspend:
        return "Suspended", "SuspendRequested", "runPolicy.suspend is set"
    if refusal is not None:
        return "Pending", CREATE_FAILED, f"a pod was refused and is tried again: {refusal.message}"
    if decision.failure is not None:
        return "Restarting", decision.failure.kind.name, f"{decision.failure}; {outlook(view, decision.failure)}"
    stuck = next((pod for pod in view.newest.values() if pod.waiting is not None and not pod.ended), None)
    if stuck is not None and stuck.waiting is not None:
        return "Pending", stuck.waiting.reason, f"{stuck.name}: {stuck.waiting.message or stuck.waiting.reason}"
    if PREPARE in view.slots:
        return "Preparing", "Preparing", "the dataset is being made"
    if len(view.newest) == len(view.slots) and all(pod.ready or pod.ended for pod in view.newest.values()):
        return "Running", "Training", "all pods run"
    return "Pending", STARTING, "pods are starting"
