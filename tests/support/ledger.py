"""What has really happened to a job's pods, written down by one who sees every event of the simulated server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simulated import leaves_by, owner

from gmeta_api.objects import (
    ATTEMPT_LABEL,
    COUNTED_ANNOTATION,
    FUTILE_ANNOTATION,
    INDEX_LABEL,
    ROLE_LABEL,
    STEP_ANNOTATION,
    UNCOUNTED_ANNOTATION,
    Object,
)
from gmeta_operator.timestamps import from_text

LOST_AFTER = timedelta(seconds=10)

CLASSES = {
    1: "Internal",
    65: "BadData",
    67: "CheckpointLost",
    68: "CoordinationLost",
    137: "Killed",
    143: "Interrupted",
}
FATAL = frozenset({65})
FREE = frozenset({143})
WHOLE_GROUP = frozenset({67})
"""What docs/operator.md says about the exit codes that the tests use."""

Slot = tuple[str, int]
PREPARE: Slot = ("prepare", 0)
COORDINATOR: Slot = ("coordinator", 0)


@dataclass
class Fate:
    """A pod's life."""

    name: str
    uid: str
    owner: str
    slot: Slot
    attempt: int
    counted: int
    uncounted: int
    futile: int = 0
    at_step: int = 0
    ready: bool = False
    code: int | None = None
    reason: str | None = None
    last_words: str = ""
    at: datetime | None = None
    leaves_by: datetime | None = None
    gone: bool = False
    told: bool = False

    def __str__(self) -> str:
        at = "" if self.at is None else f" {self.code} {self.reason} at {self.at:%H:%M:%S}"
        return f"{self.name}/a{self.attempt}{at}{' gone' * self.gone}{' untold' * (not self.told)}"

    @property
    def number(self) -> int:
        return self.counted + self.uncounted

    @property
    def failed(self) -> bool:
        return self.at is not None and self.code != 0

    @property
    def fatal(self) -> bool:
        return self.failed and self.code in FATAL

    @property
    def free(self) -> bool:
        """Whether its end costs no counted restart."""
        told = self.leaves_by is not None and self.code is not None and self.code > 128
        return self.failed and (self.code is None or self.code in FREE or (told and self.reason != "OOMKilled"))

    @property
    def ends_attempt(self) -> bool:
        return self.failed and self.slot != PREPARE and (self.code in WHOLE_GROUP or "finished" in self.last_words)

    @property
    def kind(self) -> str:
        if self.reason == "OOMKilled":
            return "OutOfMemory"
        if self.code == 137 and self.leaves_by is not None:
            return "Interrupted"
        return "Infrastructure" if self.code is None else CLASSES[self.code]

    def lost(self, now: datetime) -> bool:
        return self.at is None and self.leaves_by is not None and now >= self.leaves_by + LOST_AFTER

    def alive(self, now: datetime) -> bool:
        return not self.gone and self.at is None and not self.lost(now)


class Ledger:
    """The fates of all pods in the order in which they were made."""

    def __init__(self) -> None:
        self.fates: dict[str, Fate] = {}

    def watch(self, kind: str, thing: Object) -> None:
        """Take in an event."""
        if thing["kind"] != "Pod":
            return
        uid = thing["metadata"]["uid"]
        if kind == "ADDED":
            self.fates[uid] = new_fate(thing)
        fate = self.fates[uid]
        fate.gone = kind == "DELETED"
        fate.leaves_by = leaves_by(thing)
        _read_container(fate, thing["status"])

    def of(self, owner_uid: str, slot: Slot | None = None, attempt: int | None = None) -> list[Fate]:
        """The pods of a job, of one slot and attempt where these are given."""
        mine = (fate for fate in self.fates.values() if fate.owner == owner_uid)
        return [fate for fate in mine if slot in (None, fate.slot) and attempt in (None, fate.attempt)]


def new_fate(pod: Object) -> Fate:
    metadata = pod["metadata"]
    labels, annotations = metadata["labels"], metadata["annotations"]
    return Fate(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        owner=owner(pod),
        slot=(labels[ROLE_LABEL], int(labels[INDEX_LABEL])),
        attempt=int(labels[ATTEMPT_LABEL]),
        counted=int(annotations[COUNTED_ANNOTATION]),
        uncounted=int(annotations[UNCOUNTED_ANNOTATION]),
        futile=int(annotations[FUTILE_ANNOTATION]),
        at_step=int(annotations[STEP_ANNOTATION]),
    )


def _read_container(fate: Fate, status: Mapping[str, Any]) -> None:
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses", ())), {})
    fate.ready = fate.ready or bool(container.get("ready"))
    if status["phase"] in ("Succeeded", "Failed"):
        end = container.get("state", {}).get("terminated", {})
        fate.code, fate.last_words = end.get("exitCode"), end.get("message", "")
        fate.reason = status.get("reason", end.get("reason"))
        fate.at = from_text(end.get("finishedAt") or status["conditions"][0]["lastTransitionTime"])
