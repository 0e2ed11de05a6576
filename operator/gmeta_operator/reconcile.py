"""The pure core: from what is observed of a job to what is written. No clock, no client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.objects import (
    GENERATION_ANNOTATION,
    Incarnation,
    Object,
    cluster_plan,
    pod,
    pod_group,
    shared_objects,
)
from gmeta_api.plan import Plan as ProcessPlan
from gmeta_api.plan import Process
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.run_policy import RunPolicySpec
from gmeta_api.status import Condition
from gmeta_operator.conditions import Aspect, to_conditions, unknown_aspects
from gmeta_operator.deadlines import expiry
from gmeta_operator.decide import Decision, Start, after_refusal, decide, lost_pods, next_loss
from gmeta_operator.events import events
from gmeta_operator.gangs import group_to_remove, releases
from gmeta_operator.goodput import with_goodput
from gmeta_operator.history import has_ended, read_history
from gmeta_operator.nodes import nodes_to_avoid
from gmeta_operator.pods import PREPARE, PodFacts
from gmeta_operator.report import Report
from gmeta_operator.settings import Settings
from gmeta_operator.status import active_status
from gmeta_operator.times import read_times
from gmeta_operator.timestamps import from_text
from gmeta_operator.trouble import Trouble
from gmeta_operator.validity import checked, validity_condition
from gmeta_operator.view import View

LEAVING = timedelta(seconds=10)
"""How long after the end of a job its processes may take to leave by themselves."""


@dataclass(frozen=True)
class Observed:
    """What is known of a job.

    Attributes:
        job: the custom resource as the API server has it.
        pods: its pods.
        report: the newest status document of its coordinator.
        trouble: why a child could not be made just now; nothing is made then.
        avoid: nodes on which pods of any job have failed lately.
        group_gone: whether its PodGroup has been removed since the manifest was changed last.
    """

    job: Mapping[str, Any]
    pods: tuple[PodFacts, ...] = ()
    report: Report | None = None
    trouble: Trouble | None = None
    avoid: tuple[str, ...] = ()
    group_gone: bool = False


@dataclass(frozen=True)
class Plan:
    """What is written for a job, in this order.

    Attributes:
        job: the custom resource that it is for, as it was observed.
        applies: shared objects to be applied before pods are made, and when the manifest has changed.
        touch: the annotation of a running coordinator whose job document is applied again.
        creates: pods to be made.
        events: Kubernetes events to be recorded.
        status: the whole status; None where it is as it should be.
        releases: pods that are to tell Kueue that their group has ended.
        deletes: pods to be deleted. The status is written before: it has to tell what goes with them.
        forced: lost pods to be deleted without waiting for their node, which cannot end them.
        expired: whether the job itself is to be deleted.
        removes: the PodGroup, if it is to go.
        wake: when to look again if nothing happens until then.
    """

    job: Mapping[str, Any]
    applies: tuple[Object, ...] = ()
    touch: Object | None = None
    creates: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    status: dict[str, Any] | None = None
    releases: tuple[PodFacts, ...] = ()
    deletes: tuple[PodFacts, ...] = ()
    forced: tuple[PodFacts, ...] = ()
    expired: bool = False
    removes: Object | None = None
    wake: datetime | None = None

    @property
    def is_grave(self) -> bool:
        """Whether it makes or deletes what could be wrong if the watches are late."""
        return bool(self.creates or self.deletes or self.forced or self.removes or self.expired)


def reconcile(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """What brings the job nearer to what its manifest says."""
    before = observed.job.get("status", {})
    generation = observed.job["metadata"].get("generation", 0)
    invalid = validity_condition(observed.job, generation, now, _previous_validity(before))
    if has_ended(before):
        return _without_group(_after_the_end(observed, now), observed, now)
    job, _ = checked(observed.job)
    if job is None:
        return _invalid(observed, invalid, now)
    history = read_history(before, observed.pods, suspend=job.spec.run_policy.suspend)
    times = read_times(observed.job, suspend=job.spec.run_policy.suspend)
    view = View(job, observed.pods, history, now, observed.report, observed.trouble, times)
    decision = decide(view) if observed.trouble is None else after_refusal(decide(view))
    status = with_goodput(active_status(view, decision, observed.job, invalid), view, decision, observed.job)
    stop = decision.stop if decision.end is None else _left_over(view)
    plan = Plan(
        observed.job,
        events=tuple(events(observed.job, before, status, now)),
        status=None if status == before else status,
        deletes=stop,
        forced=decision.abandon,
        wake=_wake(view, decision),
    )
    if decision.end is not None:
        return plan
    if job.spec.run_policy.suspend:
        return _without_group(plan, observed, now)
    avoid = {*observed.avoid, *nodes_to_avoid(status.get("avoidedNodes", ()), now)}
    former = tuple(releases(observed.pods, from_attempt=history.attempt))
    return _with_children(replace(plan, releases=former), view, decision, settings, tuple(sorted(avoid)))


def _wake(view: View, decision: Decision) -> datetime | None:
    """When to look again: at once after the end, since what comes then has times of its own."""
    if decision.end is not None:
        return view.now
    return min((each for each in (decision.wake, view.next_overlooked) if each), default=None)


def _without_group(plan: Plan, observed: Observed, now: datetime) -> Plan:
    """The plan for a job none of whose pods is to run: what schedulers hold for them is given back."""
    removes = None if observed.group_gone else group_to_remove(observed.job, observed.pods, now)
    return replace(plan, releases=tuple(releases(observed.pods, from_attempt=None)), removes=removes)


def _with_children(plan: Plan, view: View, decision: Decision, settings: Settings, avoid: tuple[str, ...]) -> Plan:
    """The plan with pods to be made, and with what pods share where it is missing or the manifest has changed."""
    generation = plan.job["metadata"].get("generation", 0)
    touch = _touch(plan.job, view.coordinator, generation) if view.coordinator not in decision.stop else None
    if not decision.start and touch is None:
        return plan
    attempt = decision.start[0].attempt if decision.start else view.history.attempt
    processes = cluster_plan(view.job, attempt)
    creates = tuple(_pod(view.job, processes, start, generation, settings, avoid) for start in decision.start)
    shared = shared_objects(view.job, processes, settings.own_namespace, settings.monitoring_namespaces)
    group = None if PREPARE in view.slots else pod_group(view.job)
    return replace(plan, applies=(*shared, *((group,) if group else ())), touch=touch, creates=creates)


def _touch(job: Mapping[str, Any], coordinator: PodFacts | None, generation: int) -> Object | None:
    """The annotation that a coordinator needs whose job document is older than the manifest.

    A coordinator reads in that document how many workers there should be. The kubelet brings a changed ConfigMap to a
    pod within two minutes; at once where the pod changes too.
    """
    if coordinator is None or coordinator.generation >= generation:
        return None
    identity = {"namespace": job["metadata"]["namespace"], "name": coordinator.name, "uid": coordinator.uid}
    annotations = {GENERATION_ANNOTATION: str(generation)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**identity, "annotations": annotations}}


def _pod(
    job: MetaTrainingJob,
    processes: ProcessPlan,
    start: Start,
    generation: int,
    settings: Settings,
    avoid: tuple[str, ...],
) -> Object:
    process = next(each for each in processes.processes if _slot(each) == start.slot)
    return pod(job, process, Incarnation(start.attempt, start.restarts, generation, avoid), settings.pods)


def _slot(process: Process) -> tuple[str, int]:
    return process.role, process.index


def _previous_validity(before: Mapping[str, Any]) -> Condition | None:
    found = (each for each in before.get("conditions", ()) if each["type"] == "Invalid")
    return next((Condition.model_validate(each) for each in found), None)


def _invalid(observed: Observed, invalid: Condition, now: datetime) -> Plan:
    """An invalid spec changes nothing but the status: what runs goes on as it was begun."""
    before = observed.job.get("status", {})
    generation = observed.job["metadata"].get("generation", 0)
    written = [Aspect(each["type"], each["status"], each["reason"], each["message"]) for each in _others(before)]
    conditions = to_conditions(tuple(written) or unknown_aspects(), before, generation, now)
    own = invalid.model_dump(by_alias=True, exclude_none=True)
    changes = {"conditions": [own, *conditions], "observedGeneration": generation, "reason": invalid.reason}
    status = {"state": "Pending", **before, **changes}
    told = tuple(events(observed.job, before, status, now))
    return Plan(observed.job, status=None if status == before else status, events=told)


def _others(before: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in before.get("conditions", ()) if each["type"] != "Invalid")


def _after_the_end(observed: Observed, now: datetime) -> Plan:
    """A job that has ended makes nothing again; what its policy does not keep goes, in the end the job itself."""
    job, _ = checked(observed.job)
    policy = job.spec.run_policy if job is not None else RunPolicySpec()
    expires = expiry(observed.job["status"], policy)
    if expires is not None and expires <= now:
        return Plan(observed.job, expired=True)
    ended = from_text(observed.job["status"].get("completionTime")) or now
    leave_by = ended + LEAVING
    moments = (leave_by if leave_by > now else None, expires, next_loss(observed.pods, now))
    return Plan(
        observed.job,
        deletes=_cleaned(policy.clean_pod_policy, observed.pods) if leave_by <= now else (),
        forced=lost_pods(observed.pods, now),
        wake=min((moment for moment in moments if moment is not None), default=None),
    )


def _left_over(view: View) -> tuple[PodFacts, ...]:
    """What goes at once when a job ends: processes that know of the end leave by themselves, and their logs stay."""
    return () if view.processes_leave else _cleaned(view.job.spec.run_policy.clean_pod_policy, view.pods)


def _cleaned(policy: str, pods: tuple[PodFacts, ...]) -> tuple[PodFacts, ...]:
    unwanted = {"All": pods, "Running": [each for each in pods if not each.ended], "None": ()}[policy]
    return tuple(each for each in unwanted if each.leaves_by is None)
