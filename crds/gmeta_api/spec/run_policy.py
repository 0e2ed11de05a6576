"""When a job runs, how long, and what is left of it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec import patterns
from gmeta_api.spec.base import IMMUTABLE, Rule, SpecModel
from gmeta_api.spec.scalars import PositiveSeconds, Seconds

CONTROLLER = "gmeta.dev/operator"
"""The `managedBy` of this project's operator."""

ManagedBy = Annotated[str, Field(min_length=3, max_length=128, pattern=patterns.LABEL_KEY)]


class RunPolicySpec(SpecModel):
    """When a job runs, how long, and what is left of it."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.managedBy) ? self.managedBy : '') == (has(oldSelf.managedBy) ? oldSelf.managedBy : '')",
            IMMUTABLE.message,
            "managedBy",
        ),
    )

    suspend: bool = Field(default=False, description="Whether the job gives up its pods after a commit and waits.")
    active_deadline_seconds: PositiveSeconds | None = Field(
        default=None,
        description="Time after the first worker ran at which the job fails; resuming begins it anew; else no limit.",
    )
    pre_running_deadline_seconds: PositiveSeconds | None = Field(
        default=None,
        description="Time in which all pods have to have run, or the job fails; it begins with the job, its resumption"
        " or the end of its preparation; else it waits.",
    )
    ttl_seconds_after_finished: Seconds | None = Field(
        default=None, description="Time after its end at which the job is deleted; else it is kept."
    )
    clean_pod_policy: Literal["Running", "All", "None"] = Field(
        default="Running", description="Which pods are deleted at the end of the job."
    )
    managed_by: ManagedBy | None = Field(
        default=None,
        description="Controller that serves the job, such as kueue.x-k8s.io/multikueue; the operator leaves a job alone"
        " that names another one than gmeta.dev/operator.",
    )
