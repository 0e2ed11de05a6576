"""What has happened to a job so far, as its pods and its status tell it. Neither alone is enough: a crash may come
between the making of a pod and the writing of the status, and a pod may be deleted by anybody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gmeta_api.status import RestartCounts
from gmeta_operator.pods import PodFacts


@dataclass(frozen=True)
class History:
    """What has happened to a job.

    Attributes:
        attempt: the newest attempt.
        restarts: all restarts.
        prepared: whether the dataset has been made.
    """

    attempt: int
    restarts: RestartCounts
    prepared: bool


def read_history(status: Mapping[str, Any], pods: Iterable[PodFacts], *, suspend: bool) -> History:
    """The history from the status and the pods, each of which may be behind the other.

    A job that was suspended goes on with a new attempt: its coordinator has told the end of the former one.
    """
    pods = tuple(pods)
    written = RestartCounts(**status.get("restarts", {}))
    resumed = condition_status(status, "Suspended") == "True" and not suspend
    return History(
        attempt=max([status.get("attempt", 0) + resumed, *(pod.attempt for pod in pods)]),
        restarts=RestartCounts(
            counted=max([written.counted, *(pod.restarts.counted for pod in pods)]),
            uncounted=max([written.uncounted + resumed, *(pod.restarts.uncounted for pod in pods)]),
        ),
        prepared=condition_status(status, "DatasetReady") == "True"
        or any(pod.role == "prepare" and pod.phase == "Succeeded" for pod in pods),
    )


def condition_status(status: Mapping[str, Any], kind: str) -> str | None:
    """The status of a condition as it was written last."""
    found = (condition["status"] for condition in status.get("conditions", ()) if condition["type"] == kind)
    return next(found, None)
