"""Why a pod does not run yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.objects.scheduling import DEFAULT_SCHEDULER, KUEUE_GATE, KUEUE_QUEUE_LABEL
from gmeta_api.spec import SchedulingSpec
from gmeta_operator.timestamps import from_text
from gmeta_operator.trouble import SCHEDULER_NOT_INSTALLED

BEGINNING = ("ContainerCreating", "PodInitializing")
"""What every pod waits for at its start; it says nothing."""

OVERLOOKED_AFTER = 60
"""Seconds in which a scheduler says at least why it cannot place a pod, if there is one of that name."""

PERMIT_SECONDS = 60
"""How long coscheduling holds a pod without a word until the rest of its gang is there, if not told otherwise."""


@dataclass(frozen=True)
class Waiting:
    """Why a pod does not run yet."""

    reason: str
    message: str


@dataclass(frozen=True)
class Unseen:
    """A pod that no scheduler has said anything about.

    Attributes:
        scheduler: the scheduler that it names.
        since: when it was made.
    """

    scheduler: str
    since: datetime

    def overlooked_at(self, scheduling: SchedulingSpec) -> datetime:
        """When it is taken for overlooked."""
        gang = scheduling.gang
        held = (gang.timeout_seconds or PERMIT_SECONDS) if gang.scheduler == "coscheduling" else 0
        return self.since + timedelta(seconds=OVERLOOKED_AFTER + held)

    def overlooked(self, scheduling: SchedulingSpec, now: datetime) -> Waiting | None:
        """Why it waits, once that is clear."""
        due = self.overlooked_at(scheduling)
        if now < due:
            return None
        field = "gang.scheduler" if scheduling.gang.scheduler == "volcano" else "schedulerName"
        return Waiting(
            SCHEDULER_NOT_INSTALLED,
            f"no scheduler named {self.scheduler} has looked at this pod for {(due - self.since).seconds} s; install or"
            f" start it, or make the job again with another spec.scheduling.{field}",
        )


def unseen(pod: Mapping[str, Any]) -> Unseen | None:
    """The pod as one that no scheduler has looked at, if so; a scheduler gives it a node or says why it has none."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    made = from_text(pod["metadata"].get("creationTimestamp"))
    looked_at = spec.get("nodeName") or any(each["type"] == "PodScheduled" for each in status.get("conditions", ()))
    if made is None or looked_at or status.get("phase", "Pending") != "Pending":
        return None
    return Unseen(spec.get("schedulerName", DEFAULT_SCHEDULER), made)


def read_waiting(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Waiting | None:
    """What a pod's container or its scheduler says."""
    waiting = container.get("state", {}).get("waiting")
    if waiting and waiting.get("reason") not in BEGINNING:
        return Waiting(waiting.get("reason", "Waiting"), waiting.get("message", ""))
    if any(gate["name"] == KUEUE_GATE for gate in pod.get("spec", {}).get("schedulingGates", ())):
        queue = pod["metadata"]["labels"].get(KUEUE_QUEUE_LABEL, "")
        return Waiting("QueuedByKueue", f"waits until Kueue admits it from queue {queue}")
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Waiting(condition.get("reason", "Unschedulable"), condition.get("message", ""))
    return None
