"""The pure core: from what is observed of a job to what is written. No clock, no client."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gmeta_api.objects import GENERATION_ANNOTATION, Incarnation, Object, cluster_plan, pod, shared_objects
from gmeta_api.plan import Plan as ProcessPlan
from gmeta_api.plan import Process
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.status import Condition
from gmeta_operator.conditions import STARTING, Aspect, to_conditions, unknown_aspects
from gmeta_operator.decide import Decision, Start, after_refusal, decide
from gmeta_operator.goodput import with_goodput
from gmeta_operator.history import has_ended, read_history
from gmeta_operator.pods import PodFacts
from gmeta_operator.report import Report
from gmeta_operator.settings import Settings
from gmeta_operator.status import active_status
from gmeta_operator.validity import checked, validity_condition
from gmeta_operator.view import View


@dataclass(frozen=True)
class Observed:
    """What is known of a job.

    Attributes:
        job: the custom resource as the API server has it.
        pods: its pods.
        report: the newest status document of its coordinator.
        trouble: why a child could not be made just now; nothing is made then.
    """

    job: Mapping[str, Any]
    pods: tuple[PodFacts, ...] = ()
    report: Report | None = None
    trouble: str | None = None


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
        deletes: pods to be deleted. The status is written before: it has to tell what goes with them.
        wake: when to look again if nothing happens until then.
    """

    job: Mapping[str, Any]
    applies: tuple[Object, ...] = ()
    touch: Object | None = None
    creates: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    status: dict[str, Any] | None = None
    deletes: tuple[PodFacts, ...] = ()
    wake: datetime | None = None


def reconcile(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """What brings the job nearer to what its manifest says."""
    before = observed.job.get("status", {})
    generation = observed.job["metadata"].get("generation", 0)
    invalid = validity_condition(observed.job, generation, now, _previous_validity(before))
    if has_ended(before):
        return _after_the_end(observed)
    job, _ = checked(observed.job)
    if job is None:
        return _invalid(observed, invalid, now)
    history = read_history(before, observed.pods, suspend=job.spec.run_policy.suspend)
    view = View(job, observed.pods, history, now, observed.report, observed.trouble)
    decision = decide(view) if observed.trouble is None else after_refusal(decide(view))
    status = with_goodput(active_status(view, decision, observed.job, invalid), view, decision, observed.job)
    stop = decision.stop if decision.end is None else _cleaned(job.spec.run_policy.clean_pod_policy, observed.pods)
    plan = Plan(
        observed.job,
        events=tuple(_events(observed.job, before, status, now)),
        status=None if status == before else status,
        deletes=stop,
        wake=decision.wake,
    )
    return plan if decision.end is not None else _with_children(plan, view, decision, settings)


def _with_children(plan: Plan, view: View, decision: Decision, settings: Settings) -> Plan:
    """The plan with pods to be made, and with what pods share where it is missing or the manifest has changed."""
    generation = plan.job["metadata"].get("generation", 0)
    touch = _touch(plan.job, view.coordinator, generation) if view.coordinator not in decision.stop else None
    if not decision.start and touch is None:
        return plan
    attempt = decision.start[0].attempt if decision.start else view.history.attempt
    processes = cluster_plan(view.job, attempt)
    creates = tuple(_pod(view.job, processes, start, generation, settings) for start in decision.start)
    shared = shared_objects(view.job, processes, settings.own_namespace, settings.monitoring_namespaces)
    return replace(plan, applies=shared, touch=touch, creates=creates)


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


def _pod(job: MetaTrainingJob, processes: ProcessPlan, start: Start, generation: int, settings: Settings) -> Object:
    process = next(each for each in processes.processes if _slot(each) == start.slot)
    return pod(job, process, Incarnation(start.attempt, start.restarts, generation), settings.pods)


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
    events = tuple(_events(observed.job, before, status, now))
    return Plan(observed.job, status=None if status == before else status, events=events)


def _others(before: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in before.get("conditions", ()) if each["type"] != "Invalid")


def _after_the_end(observed: Observed) -> Plan:
    """A job that has ended makes nothing again; what its policy does not keep goes."""
    policy = observed.job["spec"].get("runPolicy", {}).get("cleanPodPolicy", "Running")
    return Plan(observed.job, deletes=_cleaned(policy, observed.pods))


def _cleaned(policy: str, pods: tuple[PodFacts, ...]) -> tuple[PodFacts, ...]:
    unwanted = {"All": pods, "Running": [each for each in pods if not each.ended], "None": ()}[policy]
    return tuple(each for each in unwanted if each.leaves_by is None)


def _events(
    job: Mapping[str, Any], before: Mapping[str, Any], status: Mapping[str, Any], now: datetime
) -> Iterator[Object]:
    """An event for each change of the summary; its name is made of what it says, so telling it twice makes one."""
    summary = _summary(status)
    if (before.get("state"), before.get("reason")) == (status.get("state"), status.get("reason")):
        return
    waiting = status["state"] == "Pending" and status["reason"] != STARTING
    warning = waiting or status["state"] in ("Failed", "Restarting")
    yield event(job, "Warning" if warning else "Normal", status["reason"], summary, now)


def _summary(status: Mapping[str, Any]) -> str:
    kind = "Invalid" if status["reason"] == "SpecInvalid" else "Succeeded"
    found = (each["message"] for each in status["conditions"] if each["type"] == kind)
    return f"{status['state']}: {next(found, '')}"


def event(job: Mapping[str, Any], kind: str, reason: str, message: str, now: datetime) -> Object:
    """A Kubernetes event about a job."""
    metadata = job["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {reason} {message}".encode()).hexdigest()[:16]
    moment = (now - timedelta(microseconds=now.microsecond)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": job["apiVersion"],
            "kind": job["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": "gmeta-operator"},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
