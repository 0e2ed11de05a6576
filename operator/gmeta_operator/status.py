"""The status of a job that is acted upon."""

from collections.abc import Mapping
from typing import Any

from gmeta_api.objects import worker_selector
from gmeta_api.status import Condition, LastFailure
from gmeta_operator.conditions import activity, aspects, to_conditions
from gmeta_operator.decide import Decision
from gmeta_operator.failures import Failure, last_words
from gmeta_operator.nodes import avoided_nodes
from gmeta_operator.pods import COORDINATOR, PREPARE
from gmeta_operator.report import Report, checkpoint_status, export_status, progress_status
from gmeta_operator.timestamps import to_text
from gmeta_operator.view import View

BEGINNINGS = ("startTime", "runningTime")


def active_status(view: View, decision: Decision, resource: Mapping[str, Any], invalid: Condition) -> dict[str, Any]:
    """The whole status; what is not known anew stays as it was written."""
    before = resource.get("status", {})
    generation = resource["metadata"].get("generation", 0)
    own = invalid.model_dump(by_alias=True, exclude_none=True)
    conditions = to_conditions(aspects(view, decision), before, generation, view.now)
    status = {
        **_carried(before, suspended=view.job.spec.run_policy.suspend),
        **_state(view, decision),
        "conditions": [own, *conditions],
        "observedGeneration": generation,
        "attempt": max([view.history.attempt, *(start.attempt for start in decision.start)]),
        "workers": _workers(view, decision),
        "selector": worker_selector(view.job.metadata.name),
        "restarts": _restarts(view, decision),
        **_reported(newest_report(view)),
        **_times(view, decision, before),
    }
    if decision.failure is not None:
        status["lastFailure"] = _last_failure(decision.failure, view.report)
    avoided = avoided_nodes(before.get("avoidedNodes", ()), view.failures, view.job.spec.fault_tolerance, view.now)
    return status | ({"avoidedNodes": avoided} if avoided else {})


def _carried(before: Mapping[str, Any], *, suspended: bool) -> dict[str, Any]:
    """What is kept until something else is known. A job that is resumed begins anew."""
    times = () if suspended else BEGINNINGS
    kept = (*times, "progress", "lastCheckpoint", "export", "lastFailure", "leaderEpoch")
    return {name: before[name] for name in kept if name in before}


def _state(view: View, decision: Decision) -> dict[str, Any]:
    if decision.end is not None:
        return {"state": "Succeeded" if decision.end.succeeded else "Failed", "reason": decision.end.reason}
    state, reason, _ = activity(view, decision)
    return {"state": state, "reason": reason}


def _workers(view: View, decision: Decision) -> dict[str, Any]:
    """The pods of a job that has ended are being cleaned up: none counts, since the status stays as it is now."""
    pods = () if decision.end is not None else view.newest.values()
    ready = sum(view.runs(pod) for pod in pods if pod.role == "worker")
    return {"desired": view.job.spec.workers.replicas, "ready": ready}


def _restarts(view: View, decision: Decision) -> dict[str, Any]:
    counts = [view.history.restarts, *(start.restarts for start in decision.start)]
    last = max(counts, key=lambda each: (each.counted, each.uncounted))
    return last.model_dump(by_alias=True)


def newest_report(view: View) -> Report | None:
    """What the coordinator has said last, its last words above all."""
    coordinator = view.newest.get(COORDINATOR)
    last = coordinator.last_report if coordinator is not None else None
    return last or view.report


def _reported(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {}
    parts = {
        "progress": progress_status(report),
        "lastCheckpoint": checkpoint_status(report),
        "export": export_status(report),
    }
    return {name: part for name, part in parts.items() if part is not None}


def _times(view: View, decision: Decision, before: Mapping[str, Any]) -> dict[str, Any]:
    suspended = view.job.spec.run_policy.suspend
    current = [pod for pod in view.pods if pod.role == "worker" and pod.attempt == view.history.attempt]
    happened = {
        "startTime": any(pod.ready or pod.ended for pod in current) and not suspended,
        "runningTime": all(view.runs(view.newest.get(slot)) for slot in view.slots)
        and PREPARE not in view.slots
        and not suspended,
        "completionTime": decision.end is not None,
    }
    return {name: to_text(view.now) for name, so in happened.items() if so and name not in before}


def _last_failure(failure: Failure, report: Report | None) -> dict[str, Any]:
    pod = failure.pod
    return LastFailure(
        pod=pod.name,
        node=pod.node,
        exit_code=pod.exit_code,
        reason=pod.reason,
        failure_class=failure.kind.name,
        worker=pod.slot[1] if pod.role == "worker" else None,
        step=report.step if report is not None else None,
        action=failure.action,
        rule=failure.rule,
        message=last_words(pod).removeprefix(": ") or None,
        time=to_text(failure.at),
    ).model_dump(by_alias=True, exclude_none=True)
