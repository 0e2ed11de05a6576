"""How the cluster's schedulers see a job."""

from typing import ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.scalars import DnsSubdomain, PositiveSeconds


class GangSpec(SpecModel):
    """All pods or none."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.scheduler != 'none' || !has(self.timeoutSeconds)",
            "a time-out needs a gang scheduler; remove it or set scheduler",
            "timeoutSeconds",
        ),
    )

    scheduler: Literal["none", "volcano", "coscheduling"] = Field(
        default="none", description="Gang scheduler that places all worker pods at once."
    )
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="Time in which the gang has to be placed; else the scheduler's default."
    )


class SchedulingSpec(SpecModel):
    """How the cluster's schedulers see a job."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.gang.scheduler != 'volcano' || !has(self.schedulerName) || self.schedulerName == 'volcano'",
            "gang scheduler volcano places pods of schedulerName volcano only; remove schedulerName",
            "schedulerName",
        ),
    )

    queue: DnsSubdomain | None = Field(default=None, description="Queue that the job is submitted to.")
    gang: GangSpec = Field(default=GangSpec(), description="Placement of all pods or none.")
    priority_class_name: DnsSubdomain | None = Field(default=None, description="PriorityClass of the pods.")
    scheduler_name: DnsSubdomain | None = Field(
        default=None, description="Scheduler of the pods; else the cluster's default or the gang scheduler's."
    )
