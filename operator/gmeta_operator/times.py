"""When the parts of a job's life began, as its status has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gmeta_operator.history import condition_since, condition_status
from gmeta_operator.timestamps import from_text


@dataclass(frozen=True)
class Times:
    """When what began; a job that is resumed begins anew.

    Attributes:
        started: when the first worker ran, if one has.
        waiting_since: since when the job waits until all its pods have run; None once they have, and while it is
            suspended.
    """

    started: datetime | None = None
    waiting_since: datetime | None = None


NEVER = Times()


def read_times(job: Mapping[str, Any], *, suspend: bool) -> Times:
    """The times of a custom resource."""
    status = job.get("status", {})
    if suspend or condition_status(status, "Suspended") == "True":
        return NEVER
    waits = "runningTime" not in status
    return Times(from_text(status.get("startTime")), _waiting_since(job, status) if waits else None)


def _waiting_since(job: Mapping[str, Any], status: Mapping[str, Any]) -> datetime | None:
    """The last of: its creation, its resumption, the end of its preparation."""
    begins = (
        from_text(job["metadata"].get("creationTimestamp")),
        condition_since(status, "Suspended", "False"),
        condition_since(status, "DatasetReady", "True"),
    )
    return max((moment for moment in begins if moment is not None), default=None)
