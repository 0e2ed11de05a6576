"""When a job runs, how long, and what is left of it."""

from typing import Literal

from pydantic import Field

from gmeta_api.spec.base import SpecModel
from gmeta_api.spec.scalars import PositiveSeconds, Seconds


class RunPolicySpec(SpecModel):
    """When a job runs, how long, and what is left of it."""

    suspend: bool = Field(default=False, description="Whether the job gives up its pods after a commit and waits.")
    active_deadline_seconds: PositiveSeconds | None = Field(
        default=None, description="Time after its start at which the job fails; else it has no limit."
    )
    pre_running_deadline_seconds: PositiveSeconds | None = Field(
        default=None, description="Time in which all pods have to run, or the job fails; else it waits."
    )
    ttl_seconds_after_finished: Seconds | None = Field(
        default=None, description="Time after its end at which the job is deleted; else it is kept."
    )
    clean_pod_policy: Literal["Running", "All", "None"] = Field(
        default="Running", description="Which pods are deleted at the end of the job."
    )
