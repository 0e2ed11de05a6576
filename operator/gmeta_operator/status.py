"""The status of a job that is acted upon."""

from collections.abc import Mapping
from typing import Any

from gmeta_api.objects import worker_selector
from gmeta_api.status import Condition, LastFailure
from gmeta_operator.conditions import activity, aspects, to_conditions
from gmeta_operator.decide import Decision
from gmeta_operator.failures import Failure, last_words
from gmeta_operator.pods import COORDINATOR
from gmeta_operator.report import Report, checkpoint_status, export_status, progress_status
from gmeta_operator.timestamps import to_text
from gmeta_operator.view import View


def active_status(view: View, decision: Decision, resource: Mapping[str, Any], invalid: Condition) -> dict[str, Any]:
    """The whole status; what is not known anew stays as it was written."""
    before = resource.get("status", {})
    generation = resource["metadata"].get("generation", 0)
    own = invalid.model_dump(by_alias=True, exclude_none=True)
    conditions = to_conditions(aspects(view, decision), before, generation, view.now)
    status = {
        **_carried(before),
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
    return status


def _carried(before: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("startTime", "progress", "lastCheckpoint", "export", "lastFailure")
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
    return {"counted": max(each.counted for each in counts), "uncounted": max(each.uncounted for each in counts)}


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
    started = any(pod.role == "worker" and (pod.ready or pod.ended) for pod in view.pods)
    times: dict[str, Any] = {}
    if started and "startTime" not in before:
        times["startTime"] = to_text(view.now)
    if decision.end is not None:
        times["completionTime"] = to_text(view.now)
    return times


def _last_failure(failure: Failure, report: Report | None) -> dict[str, Any]:
    pod = failure.pod
    return LastFailure(
        pod=pod.name,
        node=pod.node,
        exit_code=pod.exit_code,
        reason=pod.reason,
        failure_class=failure.kind.name,
        rank=pod.slot[1] if pod.role == "worker" else None,
        step=report.step if report is not None else None,
        message=last_words(pod).removeprefix(": ") or None,
        time=to_text(failure.at),
    ).model_dump(by_alias=True, exclude_none=True)
