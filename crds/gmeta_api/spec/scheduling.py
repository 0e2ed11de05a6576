"""How the cluster's schedulers see a job."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import IMMUTABLE, ListMap, Rule, SpecModel
from gmeta_api.spec.kubernetes import LabelKey
from gmeta_api.spec.scalars import DnsSubdomain, PositiveSeconds


class GangSpec(SpecModel):
    """All pods or none."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.scheduler == 'coscheduling' || !has(self.timeoutSeconds)",
            "only gang scheduler coscheduling has a time-out; remove it or set scheduler to coscheduling",
            "timeoutSeconds",
        ),
    )

    scheduler: Annotated[Literal["none", "volcano", "coscheduling", "kueue"], IMMUTABLE] = Field(
        default="none", description="What places the coordinator and all workers at once, or admits them at once."
    )
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="Time in which coscheduling has to place the gang; else the scheduler's default."
    )


class TopologySpreadSpec(SpecModel):
    """An even spread of the workers over the domains of a topology."""

    topology_key: LabelKey = Field(
        description="Node label whose values are the domains, such as topology.kubernetes.io/zone."
    )
    max_skew: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="Most workers that a domain may have more than the one with the fewest."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        default="ScheduleAnyway", description="Whether a worker that would break the spread waits or is placed anyway."
    )


class SchedulingSpec(SpecModel):
    """How the cluster's schedulers see a job."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.gang.scheduler != 'volcano' || !has(self.schedulerName) || self.schedulerName == 'volcano'",
            "gang scheduler volcano places pods of schedulerName volcano only; remove schedulerName",
            "schedulerName",
        ),
        Rule(
            "!has(self.queue) || self.gang.scheduler in ['volcano', 'kueue']",
            "a queue needs a scheduler that has queues; set gang.scheduler to volcano or kueue, or remove queue",
            "queue",
        ),
        Rule(
            "self.gang.scheduler != 'kueue' || has(self.queue)",
            "gang scheduler kueue admits jobs of a queue; set queue to the name of a LocalQueue of the namespace",
            "queue",
        ),
        Rule(
            "self.gang.scheduler != 'kueue' || !has(self.queue) || self.queue.matches('^.{1,63}$')",
            "the name of a Kueue queue is the value of a label; it has at most 63 characters",
            "queue",
        ),
    )

    queue: DnsSubdomain | None = Field(
        default=None, description="Queue that the job is submitted to: a Queue of Volcano or a LocalQueue of Kueue."
    )
    gang: GangSpec = Field(default=GangSpec(), description="Placement of all pods or none.")
    priority_class_name: DnsSubdomain | None = Field(default=None, description="PriorityClass of the pods.")
    scheduler_name: DnsSubdomain | None = Field(
        default=None,
        description="Scheduler of the pods; else the cluster's default, or volcano for that gang scheduler. "
        "coscheduling: the scheduler that has the plugin, scheduler-plugins-scheduler where its chart installed it.",
    )
    topology_spread: Annotated[tuple[TopologySpreadSpec, ...], Field(max_length=8), ListMap("topologyKey")] = Field(
        default=(), description="Spread of the workers over zones, racks or nodes."
    )
