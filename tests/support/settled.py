"""Where a job must be once nothing goes wrong any more: found from what has happened, without the operator's rules."""

from datetime import timedelta

from judge import Judge
from ledger import COORDINATOR, PREPARE, Slot
from simulated import conditions
from status_rules import condition, finished

from gmeta_api.objects import ATTEMPT_LABEL
from gmeta_operator.timestamps import from_text


def assert_settled(judge: Judge) -> None:
    """The pods that run are those that should, and the status says so."""
    server = judge.server
    if server.job is None:
        assert not server.live
        return
    alive = {pod_slot for pod_slot, fate in judge.in_place().items() if fate.alive(server.now)}
    running = [fate for fate in judge.fates() if fate.alive(server.now)]
    assert "status" in server.job, "nothing is told of the job"
    status = server.job["status"]
    assert len(running) == len(alive), f"{[fate.name for fate in running]} run"
    assert alive == expected_slots(judge), f"{sorted(alive)} run; state {status['state']} ({status['reason']})"
    assert_group_settled(judge)
    # Where somebody or a suspension removes a replacement, the failure of the pod before it counts once more.
    failures = sum(fate.failed and not fate.free for fate in judge.all_fates())
    removals = sum(fate.gone and (fate.at is None or fate.free) for fate in judge.all_fates())
    assert status["restarts"]["counted"] <= failures + removals
    if finished(status):
        _check_end(judge)
    elif not judge.suspended():
        _check_running(judge)


def assert_group_settled(judge: Judge) -> None:
    """A PodGroup is there exactly as long as its gang; Kueue has been told of each group that has ended."""
    server = judge.server
    slots = expected_slots(judge)
    assert (server.pod_group is not None) == (judge.has_pod_group and COORDINATOR in slots)
    groups: dict[tuple[str, str], list[bool]] = {}
    for pod in server.live.values():
        labels, annotations = pod["metadata"]["labels"], pod["metadata"]["annotations"]
        if name := labels.get("kueue.x-k8s.io/pod-group-name"):
            told = annotations.get("kueue.x-k8s.io/retriable-in-group") == "false"
            groups.setdefault((labels[ATTEMPT_LABEL], name), []).append(told)
    for (attempt, name), told_by in groups.items():
        over = not slots or int(attempt) < judge.job["status"]["attempt"]
        assert any(told_by) == over, f"Kueue is told that {name} has{' not' * over} ended"


def expected_slots(judge: Judge) -> set[Slot]:
    """Which pods run."""
    if finished(judge.job["status"]) or judge.suspended():
        return set()
    prepares = judge.all_fates(PREPARE)
    prepared = any(fate.code == 0 for fate in prepares) and condition(judge.job, "DatasetReady") == "True"
    if "prepare" in judge.job["spec"]["data"] and not prepared:
        return {PREPARE}
    return {("coordinator", 0), *(("worker", index) for index in range(judge.replicas))}


def _check_end(judge: Judge) -> None:
    status, policy = judge.job["status"], judge.job["spec"]["runPolicy"]["cleanPodPolicy"]
    ttl, ended = judge.job["spec"]["runPolicy"].get("ttlSecondsAfterFinished"), from_text(status["completionTime"])
    assert ended is not None
    assert ttl is None or judge.server.now < ended + timedelta(seconds=ttl), "the job's time is over"
    assert conditions(status)["Succeeded"][0] == str(status["state"] == "Succeeded")
    assert policy == "Running" or not judge.in_place(), "pods are left that cleanPodPolicy lets go"


def _check_running(judge: Judge) -> None:
    status, pods = judge.job["status"], judge.in_place().values()
    current = [fate for fate in pods if fate.slot[0] != "prepare"]
    assert {fate.attempt for fate in current} <= {status["attempt"]}
    made = judge.fates()
    assert status["restarts"]["counted"] == max(fate.counted for fate in made)
    assert status["restarts"]["uncounted"] == max(fate.uncounted for fate in made)
    deadline = judge.job["spec"]["runPolicy"].get("activeDeadlineSeconds")
    started = from_text(status.get("startTime"))
    assert deadline is None or started is None or judge.server.now < started + timedelta(seconds=deadline)
    preparing = not current
    assert status["state"] == ("Preparing" if preparing else "Running")
    assert status["workers"]["ready"] == (0 if preparing else judge.replicas)
    for coordinator in (fate for fate in current if fate.slot == COORDINATOR):
        assert judge.server.documents[coordinator.uid]["spec"]["workers"]["replicas"] == judge.replicas
    for kind in ("CoordinatorReady", "WorkersReady"):
        assert condition(judge.job, kind) == str(not preparing)
    assert condition(judge.job, "AttemptStarted") == "True"
