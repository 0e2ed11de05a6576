"""What a status may say, in view of what has really happened to the pods."""

from datetime import timedelta
from typing import TYPE_CHECKING

from goodput_rules import check_goodput
from ledger import PREPARE
from simulated import conditions

from gmeta_api.objects import Object
from gmeta_operator.timestamps import from_text

if TYPE_CHECKING:
    from judge import Judge

CONDITIONS = {
    "Invalid",
    "Suspended",
    "DatasetReady",
    "AttemptStarted",
    "CoordinatorReady",
    "WorkersReady",
    "Succeeded",
}
DEADLINES = {"DeadlineExceeded": "activeDeadlineSeconds", "PreRunningDeadlineExceeded": "preRunningDeadlineSeconds"}


def check_status(judge: "Judge", job: Object, status: Object) -> None:
    """A status that is about to be written: it is news, goes forward, and nothing contradicts it."""
    before = job.get("status", {})
    assert _without_epoch(status) != _without_epoch(before), "a status is written without a difference"
    assert status["leaderEpoch"] >= before.get("leaderEpoch", 0), "an operator that was replaced writes a status"
    assert not finished(before), "the status of an ended job is written"
    _goes_forward(before, status)
    check_goodput(judge.server.now, job, status)
    _conditions_are_whole(before, status)
    assert status["observedGeneration"] == job["metadata"]["generation"]
    assert status["restarts"]["withoutProgress"] <= job["spec"]["faultTolerance"]["backoffLimit"]
    _fits_the_pods(judge, job, status)


def _without_epoch(status: Object) -> Object:
    """No leader writes a status only to put its epoch there."""
    return {name: value for name, value in status.items() if name != "leaderEpoch"}


def finished(status: Object) -> bool:
    return status.get("state") in ("Succeeded", "Failed")


def condition(job: Object, kind: str) -> str | None:
    found = conditions(job["status"]).get(kind) if "status" in job else None
    return found[0] if found else None


def _goes_forward(before: Object, status: Object) -> None:
    assert status["attempt"] >= before.get("attempt", 0), "the attempt falls"
    for kind in ("counted", "uncounted", "atStep"):
        assert status["restarts"][kind] >= before.get("restarts", {}).get(kind, 0), f"{kind} restarts fall"
    suspended = condition({"status": status}, "Suspended") == "True"
    for once in ("startTime", "runningTime", "completionTime"):
        assert before.get(once) in (None, status.get(once)) or suspended, f"{once} moves"
    assert not (suspended and {"startTime", "runningTime"} & set(status)), "a suspended job runs"


def _conditions_are_whole(before: Object, status: Object) -> None:
    kinds = [each["type"] for each in status["conditions"]]
    assert sorted(kinds) == sorted(CONDITIONS)
    former = {each["type"]: each for each in before.get("conditions", ())}
    for each in status["conditions"]:
        old = former.get(each["type"])
        if old and old["status"] == each["status"]:
            assert old["lastTransitionTime"] == each["lastTransitionTime"], f"{each['type']} moves without a flip"


def _fits_the_pods(judge: "Judge", job: Object, status: Object) -> None:
    fates = judge.all_fates()
    state, reason = status["state"], status["reason"]
    worked = [fate for fate in fates if fate.slot[0] == "worker" and (fate.ready or fate.at is not None)]
    assert worked or "startTime" not in status, "a job has started without a worker"
    assert finished(status) == ("completionTime" in status)
    assert status["workers"]["desired"] == judge.replicas
    assert status["workers"]["ready"] <= sum(fate.ready and fate.attempt == status["attempt"] for fate in worked)
    if not finished(status):
        assert (state == "Suspended") == judge.suspended()
        assert (condition({"status": status}, "Suspended") == "True") == judge.suspended()
    if state == "Succeeded":
        coordinators = judge.all_fates(("coordinator", 0), status["attempt"])
        assert any(fate.at and fate.code == 0 for fate in coordinators), "success without a coordinator that says so"
    if state == "Failed" and reason == "BackoffLimitExceeded":
        # What the operator has heard of last: a pod that has failed, and may have been removed unheard since then.
        newest = {fate.slot: fate for fate in fates if fate.attempt == status["attempt"] or fate.slot == PREPARE}
        known = (*judge.in_place().values(), *newest.values())
        unpaid = len({fate.slot for fate in known if fate.failed and not fate.free})
        assert status["restarts"]["withoutProgress"] + unpaid > job["spec"]["faultTolerance"]["backoffLimit"]
    elif state == "Failed" and reason in DEADLINES:
        _missed_a_deadline(judge, job, status)
    elif state == "Failed":
        assert reason in {fate.kind for fate in fates if fate.fatal}, f"no pod has failed for {reason}"
    if state == "Running":
        slots = {fate.slot for fate in fates if fate.ready and fate.attempt == status["attempt"]}
        assert {("coordinator", 0), *(("worker", index) for index in range(judge.replicas))} <= slots
    if "lastFailure" in status:
        failure = status["lastFailure"]
        told = [fate for fate in fates if fate.name == failure["pod"] and (fate.failed or fate.leaves_by is not None)]
        assert told, f"{failure['pod']} has not failed"
        assert failure.get("exitCode") in (None, *(fate.code for fate in told))


def _missed_a_deadline(judge: "Judge", job: Object, status: Object) -> None:
    """A job fails for a deadline at its second or later, never before."""
    before, seconds = job.get("status", {}), job["spec"]["runPolicy"].get(DEADLINES[status["reason"]])
    assert seconds is not None, f"the job has no {DEADLINES[status['reason']]}"
    if status["reason"] == "DeadlineExceeded":
        begun = from_text(before["startTime"])
    else:
        assert "runningTime" not in before, "the job fails for not having run, though it has"
        begun = from_text(job["metadata"]["creationTimestamp"])
    assert begun is not None
    assert judge.server.now >= begun + timedelta(seconds=seconds), "a deadline is over before its time"
