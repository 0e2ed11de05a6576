"""The conditions of a job: which there are, and what they say for what is observed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gmeta_operator.decide import COORDINATOR, PREPARE, Decision, View
from gmeta_operator.history import condition_status
from gmeta_operator.pods import PodFacts
from gmeta_operator.timestamps import to_text

MAX_MESSAGE = 4096


@dataclass(frozen=True)
class Aspect:
    """What one condition says."""

    kind: str
    status: str
    reason: str
    message: str


def aspects(view: View, decision: Decision, trouble: str | None) -> tuple[Aspect, ...]:
    """Every condition of a valid job but Invalid."""
    return (
        _suspended(view),
        _dataset_ready(view, trouble),
        _coordinator_ready(view, trouble),
        _workers_ready(view, trouble),
        _succeeded(view, decision),
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
        return Aspect("Suspended", "True", "SuspendRequested", "runPolicy.suspend is set; the job has no pods")
    return Aspect("Suspended", "False", "NotSuspended", "runPolicy.suspend is not set")


def _dataset_ready(view: View, trouble: str | None) -> Aspect:
    if view.job.spec.data.prepare is None:
        return Aspect("DatasetReady", "True", "NoPreparation", "the manifest has no data.prepare")
    if view.history.prepared:
        return Aspect("DatasetReady", "True", "Prepared", "the dataset has been made")
    found = _of_pods("DatasetReady", view, [PREPARE], trouble)
    if found.status == "True":
        return Aspect("DatasetReady", "False", "Preparing", "the dataset is being made")
    return found


def _coordinator_ready(view: View, trouble: str | None) -> Aspect:
    return _of_pods("CoordinatorReady", view, [COORDINATOR], trouble)


def _workers_ready(view: View, trouble: str | None) -> Aspect:
    workers = [("worker", index) for index in range(view.job.spec.workers.replicas)]
    return _of_pods("WorkersReady", view, workers, trouble)


def _of_pods(kind: str, view: View, slots: list[tuple[str, int]], trouble: str | None) -> Aspect:
    pods = [view.newest.get(slot) for slot in slots]
    ready = sum(pod is not None and pod.ready for pod in pods)
    if ready == len(slots):
        return Aspect(kind, "True", "Running", f"{ready} of {len(slots)} running")
    reason, message = next((why for pod in pods if (why := _why_not(pod))), ("Pending", ""))
    if trouble is not None and None in pods:
        reason, message = "CreateFailed", trouble
    text = f"{ready} of {len(slots)} running"
    return Aspect(kind, "False", reason, f"{text}; {message}" if message else text)


def _why_not(pod: PodFacts | None) -> tuple[str, str] | None:
    """Why a pod does not run, as reason and message."""
    if pod is None:
        return "Missing", ""
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


def _succeeded(view: View, decision: Decision) -> Aspect:
    if decision.end is not None:
        return Aspect(
            "Succeeded", "True" if decision.end.succeeded else "False", decision.end.reason, decision.end.message
        )
    state, reason, message = activity(view, decision)
    return Aspect("Succeeded", "Unknown", reason or state, message)


def activity(view: View, decision: Decision) -> tuple[str, str, str]:
    """State, reason and message of a job that has not ended."""
    if view.job.spec.run_policy.suspend:
        return "Suspended", "SuspendRequested", "runPolicy.suspend is set"
    if decision.failure is not None:
        return "Restarting", decision.failure.kind.name, str(decision.failure)
    stuck = next((pod for pod in view.newest.values() if pod.waiting is not None and not pod.ended), None)
    if stuck is not None and stuck.waiting is not None:
        return "Pending", stuck.waiting.reason, f"{stuck.name}: {stuck.waiting.message or stuck.waiting.reason}"
    if PREPARE in view.slots:
        return "Preparing", "Preparing", "the dataset is being made"
    if len(view.newest) == len(view.slots) and all(pod.ready or pod.ended for pod in view.newest.values()):
        return "Running", "Training", "all pods run"
    return "Pending", "Starting", "pods are starting"
