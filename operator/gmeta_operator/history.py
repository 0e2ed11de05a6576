"""What has happened to a job so far, as its pods and its status tell it. Neither alone is enough: a crash may come
between the making of a pod and the writing of the status, and a pod may be deleted by anybody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gmeta_api.status import RestartCounts
from gmeta_operator.pods import PodFacts
from gmeta_operator.timestamps import from_text


@dataclass(frozen=True)
class History:
    """What has happened to a job.

    Attributes:
        attempt: the newest attempt.
        restarts: all restarts.
        prepared: whether the dataset has been made.
        committed: step of the newest commit that the status tells of.
        started: whether every pod of the attempt has been made once, or of the preparation where that comes first. A
            slot that is empty then has lost its pod.
    """

    attempt: int
    restarts: RestartCounts
    prepared: bool
    started: bool
    committed: int = 0


def read_history(status: Mapping[str, Any], pods: Iterable[PodFacts], *, suspend: bool) -> History:
    """The history from the status and the pods, each of which may be behind the other.

    A job that was suspended goes on with a new attempt: its coordinator has told the end of the former one.
    """
    pods = tuple(pods)
    written = RestartCounts(**status.get("restarts", {}))
    resumed = condition_status(status, "Suspended") == "True" and not suspend
    attempt = max([status.get("attempt", 0) + resumed, *(pod.attempt for pod in pods)])
    was_prepared = condition_status(status, "DatasetReady") == "True"
    prepared = was_prepared or any(pod.role == "prepare" and pod.phase == "Succeeded" for pod in pods)
    newest = max([written, *(pod.restarts for pod in pods)], key=lambda counts: counts.counted)
    uncounted = max([written.uncounted + resumed, *(pod.restarts.uncounted for pod in pods)])
    return History(
        attempt=attempt,
        restarts=newest.model_copy(update={"uncounted": uncounted}),
        prepared=prepared,
        started=condition_status(status, "AttemptStarted") == "True"
        and (status["attempt"], was_prepared) == (attempt, prepared),
        committed=status.get("lastCheckpoint", {}).get("step", 0),
    )


def condition_since(status: Mapping[str, Any], kind: str, value: str) -> datetime | None:
    """Since when a condition has had a status, as it was written last; None where it has another one."""
    found = (each for each in status.get("conditions", ()) if (each["type"], each["status"]) == (kind, value))
    return next((from_text(each["lastTransitionTime"]) for each in found), None)


def condition_status(status: Mapping[str, Any], kind: str) -> str | None:
    """The status of a condition as it was written last."""
    found = (condition["status"] for condition in status.get("conditions", ()) if condition["type"] == kind)
    return next(found, None)


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether the status says that the job has ended."""
    return condition_status(status, "Succeeded") in ("True", "False")
