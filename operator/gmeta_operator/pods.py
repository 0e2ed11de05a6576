"""What the operator reads from a pod."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.failures import DISRUPTION, End
from gmeta_api.objects import (
    ATTEMPT_LABEL,
    COUNTED_ANNOTATION,
    FUTILE_ANNOTATION,
    GENERATION_ANNOTATION,
    INDEX_LABEL,
    ROLE_LABEL,
    STEP_ANNOTATION,
    UNCOUNTED_ANNOTATION,
)
from gmeta_api.objects.scheduling import KUEUE_GROUP_LABEL, KUEUE_RETRIABLE_ANNOTATION
from gmeta_api.status import RestartCounts
from gmeta_operator.report import Report, read_report
from gmeta_operator.timestamps import from_text
from gmeta_operator.waiting import Unseen, Waiting, read_waiting, unseen

Slot = tuple[str, int]
"""Role and index: the place in a job that one pod after another fills."""

COORDINATOR: Slot = ("coordinator", 0)
PREPARE: Slot = ("prepare", 0)

LOST_AFTER = timedelta(seconds=10)
"""How long after its grace period a pod that is being deleted and does not end is taken for lost with its node."""


@dataclass(frozen=True)
class PodFacts:
    """A pod of a job.

    Attributes:
        name: its name.
        uid: what tells it from other pods of its name.
        slot: its role and index.
        attempt: the attempt that it belongs to.
        restarts: restarts of the job until this pod, itself included.
        generation: of the manifest whose job document it was given.
        phase: Kubernetes' phase.
        ready: whether its container is ready.
        node: where it is, if anywhere.
        address: its IP, if it has one.
        leaves_by: end of its grace period, if it is being deleted.
        exit_code: of its container, once that has ended.
        reason: Kubernetes' reason for its end.
        message: last words of its container, or what Kubernetes says about its end.
        ended_at: when its container ended; where none was ever run, when the pod is known to have changed last.
        waiting: why it does not run yet.
        conditions: its conditions that are true.
        unseen: set where no scheduler has looked at it.
        group: its group, where Kueue admits it with others.
        released: whether it says to Kueue that its group has ended.
    """

    name: str
    uid: str
    slot: Slot
    attempt: int
    restarts: RestartCounts
    generation: int = 0
    phase: str = "Pending"
    ready: bool = False
    node: str | None = None
    address: str | None = None
    leaves_by: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    ended_at: datetime | None = None
    waiting: Waiting | None = None
    conditions: frozenset[str] = frozenset()
    unseen: Unseen | None = None
    group: str | None = None
    released: bool = False

    @property
    def role(self) -> str:
        """The role of its process."""
        return self.slot[0]

    @property
    def number(self) -> int:
        """The number in its name; of two pods of a slot the later one has the higher number."""
        return self.restarts.counted + self.restarts.uncounted

    @property
    def ended(self) -> bool:
        """Whether its container has ended for good."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def end(self) -> End:
        """How it has ended, as far as that decides what is done about it."""
        return End(self.exit_code, self.reason, self.message or "", self.conditions, told=self.leaves_by is not None)

    @property
    def last_report(self) -> Report | None:
        """What a coordinator has left as its last words."""
        return read_report(self.message) if self.role == "coordinator" and self.ended else None

    def lost(self, now: datetime) -> bool:
        """Whether it is being deleted and cannot say that it has ended: its node is gone."""
        if self.ended or self.leaves_by is None:
            return False
        return self.reason == "NodeLost" or now >= self.leaves_by + LOST_AFTER

    def alive(self, now: datetime) -> bool:
        """Whether its process may be running."""
        return not self.ended and not self.lost(now)


def pod_facts(pod: Mapping[str, Any]) -> PodFacts:
    """Read a pod that the operator has made."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels, annotations = metadata["labels"], metadata.get("annotations", {})
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses", ())), {})
    ended = container.get("state", {}).get("terminated", {})
    return PodFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        slot=(labels[ROLE_LABEL], int(labels[INDEX_LABEL])),
        attempt=int(labels[ATTEMPT_LABEL]),
        restarts=_restarts(annotations),
        generation=int(annotations.get(GENERATION_ANNOTATION, 0)),
        phase=status.get("phase", "Pending"),
        ready=bool(container.get("ready")),
        node=pod.get("spec", {}).get("nodeName"),
        address=status.get("podIP"),
        leaves_by=from_text(metadata.get("deletionTimestamp")),
        exit_code=ended.get("exitCode"),
        reason=_preemption(status) or status.get("reason") or _disruption(status) or _own_reason(ended),
        message=ended.get("message") or status.get("message"),
        ended_at=from_text(ended.get("finishedAt") or _last_change(pod)),
        waiting=read_waiting(pod, container),
        unseen=unseen(pod),
        group=labels.get(KUEUE_GROUP_LABEL),
        released=annotations.get(KUEUE_RETRIABLE_ANNOTATION) == "false",
        conditions=frozenset(each["type"] for each in status.get("conditions", ()) if each["status"] == "True"),
    )


def _restarts(annotations: Mapping[str, str]) -> RestartCounts:
    return RestartCounts(
        counted=int(annotations.get(COUNTED_ANNOTATION, 0)),
        uncounted=int(annotations.get(UNCOUNTED_ANNOTATION, 0)),
        without_progress=int(annotations.get(FUTILE_ANNOTATION, 0)),
        at_step=int(annotations.get(STEP_ANNOTATION, 0)),
    )


def _last_change(pod: Mapping[str, Any]) -> str | None:
    """When a pod that has ended, such as one that its node has refused, last changed."""
    status = pod.get("status", {})
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    made: str | None = pod["metadata"].get("creationTimestamp")
    changes = (each.get("lastTransitionTime") for each in status.get("conditions", ()))
    return max((change for change in changes if change), default=made)


def _disruption(status: Mapping[str, Any]) -> str | None:
    """Why the cluster ends the pod, such as PreemptionByScheduler."""
    found = (each for each in status.get("conditions", ()) if each["type"] == DISRUPTION and each["status"] == "True")
    return next((each.get("reason") for each in found), None)


def _own_reason(ended: Mapping[str, Any]) -> str | None:
    """The container's reason, where it says more than that there is an exit code."""
    reason: str | None = ended.get("reason")
    return None if reason in ("Error", "Completed") else reason


def _preemption(status: Mapping[str, Any]) -> str | None:
    """The reason where Kueue has deleted the pod, to give its place to others or because its queue was stopped."""
    marks = (each for each in status.get("conditions", ()) if each["type"] == "TerminationTarget")
    return next(("PreemptedByKueue" for each in marks if each["status"] == "True"), None)
