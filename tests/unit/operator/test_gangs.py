"""PodGroups come before the pods of a gang, stay while it runs, and go with it; what is said where one cannot be."""

from typing import Any

import pytest
from restart_counts import restarts
from simulated import POINTS, PREPARE, Server, conditions, manifest, refusing, welcoming
from simulated_operator import Operator

from gmeta_operator.client import ApiError

COORDINATOR = "movies-coordinator-0"
OF = {"volcano": "podgroups.scheduling.volcano.sh", "coscheduling": "podgroups.scheduling.x-k8s.io"}
GANGS = pytest.mark.parametrize("gang", OF)


def gang_of(gang: str, **groups: Any) -> Server:
    """A job of three workers with a gang scheduler."""
    return Server(manifest(workers={"replicas": 3}, scheduling={"gang": {"scheduler": gang}}, **groups))


def begin(server: Server, operator: Operator) -> Any:
    """Every pod is made and runs."""
    operator.sync()
    for name in server.running():
        server.start(name)
    return operator.sync(1)


def writes_of(server: Server, operator: Operator) -> list[str]:
    """The writes of a pass."""
    seen: list[str] = []
    server.gate = lambda point, when: seen.append(point) if when == "before" and point in POINTS else None
    operator.sync(1)
    server.gate = welcoming
    return seen


def told(server: Server, kind: str) -> tuple[str, str]:
    """Reason and message of a condition."""
    assert server.job is not None
    found = (each for each in server.job["status"]["conditions"] if each["type"] == kind)
    return next((each["reason"], each["message"]) for each in found)


@GANGS
def test_the_group_is_there_before_the_first_pod(gang: str) -> None:
    server = gang_of(gang)
    writes = writes_of(server, Operator(server))
    assert writes.count("apply PodGroup") == 1
    assert writes.index("apply PodGroup") < writes.index("create Pod")
    assert server.pod_group is not None
    assert server.pod_group["spec"]["minMember"] == 4


def test_no_group_waits_for_pods_while_the_dataset_is_made() -> None:
    server = gang_of("volcano", data={"volume": "all", "path": "set", "prepare": PREPARE})
    operator = Operator(server)
    begin(server, operator)
    assert server.pod_group is None
    server.end("movies-prepare-0", 0)
    operator.sync(1)
    assert server.pod_group is not None


@GANGS
def test_the_group_is_kept_when_a_pod_is_replaced_and_when_all_are(gang: str) -> None:
    server = gang_of(gang)
    operator = Operator(server)
    begin(server, operator)
    server.end("movies-w1-0", 143)
    assert "delete PodGroup" not in writes_of(server, operator)
    assert server.made[-1] == "movies-w1-1"
    server.start("movies-w1-1")
    server.end("movies-w0-0", 67)
    for _ in range(4):
        assert "delete PodGroup" not in writes_of(server, operator)
        server.leave()
        server.now = server.now.replace(minute=server.now.minute + 1)
    assert server.made[-1] == "movies-w2-2"
    assert server.pod_group is not None


def test_the_group_grows_and_shrinks_with_the_job() -> None:
    server = gang_of("volcano")
    operator = Operator(server)
    begin(server, operator)
    for replicas in (5, 2):
        server.edit(workers={"replicas": replicas})
        operator.sync(1)
        assert server.pod_group is not None
        assert server.pod_group["spec"]["minMember"] == 1 + replicas


@GANGS
@pytest.mark.parametrize("restarted", [False, True])
def test_a_suspended_job_leaves_the_queue_once_its_pods_have_ended(gang: str, restarted: bool) -> None:
    server = gang_of(gang)
    operator = Operator(server)
    begin(server, operator)
    server.edit(runPolicy={"suspend": True})
    operator.sync(1)
    for name in [COORDINATOR, "movies-w0-0", "movies-w1-0"]:
        server.remove(name)
        operator.sync(1)
        assert server.pod_group is not None
    operator = Operator(server) if restarted else operator
    server.leave()
    assert writes_of(server, operator)[-1] == "delete PodGroup"
    assert server.pod_group is None
    assert writes_of(server, operator) == []
    server.edit(runPolicy={"suspend": False})
    operator.sync(1)
    assert server.pod_group is not None
    assert len(server.running()) == 4


def test_a_job_that_is_suspended_again_leaves_the_queue_again() -> None:
    server = gang_of("volcano")
    operator = Operator(server)
    for suspend in (False, True, False, True):
        server.edit(runPolicy={"suspend": suspend})
        begin(server, operator)
        server.leave()
        operator.sync(1)
        assert (server.pod_group is None) == suspend


@GANGS
def test_a_job_that_has_ended_leaves_the_queue(gang: str) -> None:
    server = gang_of(gang)
    operator = Operator(server)
    begin(server, operator)
    server.end(COORDINATOR, 0)
    operator.sync(1)
    assert server.pod_group is not None, "workers still run"
    server.leave()
    operator.sync(1)
    assert server.pod_group is None
    assert writes_of(server, operator) == []
    assert writes_of(server, Operator(server)) == ["delete PodGroup"], "it may not know that it has gone"
    assert conditions(server.job["status"] if server.job else {})["Succeeded"] == ("True", "Completed")


@GANGS
def test_without_the_scheduler_no_pod_is_made_until_it_is_installed(gang: str) -> None:
    server = gang_of(gang)
    operator = Operator(server)
    server.gate = refusing("apply PodGroup", "the server could not find the requested resource", 404)
    for _ in range(2):
        with pytest.raises(ApiError, match="CustomResourceDefinition"):
            operator.sync(1)
    assert server.made == []
    assert server.job is not None
    status = server.job["status"]
    reason, message = told(server, "AttemptStarted")
    assert conditions(status)["AttemptStarted"] == ("False", "SchedulerNotInstalled")
    assert message.startswith(f"the cluster has no CustomResourceDefinition {OF[gang]}: install ")
    assert (status["state"], status["reason"]) == ("Pending", reason)
    assert told(server, "Succeeded") == (reason, message)
    (event,) = server.events.values()
    assert (event["type"], event["reason"]) == ("Warning", "SchedulerNotInstalled")
    assert event["message"] == f"Pending: {message}"

    server.gate = welcoming
    status = operator.sync(1)
    assert conditions(status)["AttemptStarted"] == ("True", "PodsCreated")
    assert len(server.made) == 4
    assert restarts(status) == (0, 0)


def test_without_the_right_to_write_the_group_the_chart_is_named() -> None:
    server = gang_of("coscheduling")
    server.gate = refusing("apply PodGroup", "podgroups is forbidden")
    with pytest.raises(ApiError):
        Operator(server).sync()
    reason, message = told(server, "AttemptStarted")
    assert reason == "CreateFailed"
    assert message == (
        "the operator may not write podgroups.scheduling.x-k8s.io; allow it by the chart's value gangSchedulers: "
        "[coscheduling] (podgroups is forbidden)"
    )


@pytest.mark.parametrize(
    ("scheduling", "name", "seconds", "field"),
    [
        ({"schedulerName": "mine"}, "mine", 60, "schedulerName"),
        ({"gang": {"scheduler": "volcano"}}, "volcano", 60, "gang.scheduler"),
        ({"gang": {"scheduler": "coscheduling"}, "schedulerName": "mine"}, "mine", 120, "schedulerName"),
        ({"gang": {"scheduler": "coscheduling", "timeoutSeconds": 5}}, "default-scheduler", 65, "schedulerName"),
    ],
)
def test_a_pod_that_no_scheduler_looks_at_is_told_of_in_time(
    scheduling: Any, name: str, seconds: int, field: str
) -> None:
    server = Server(manifest(scheduling=scheduling))
    operator = Operator(server)
    assert (operator.sync()["reason"]) == "Starting"
    operator.hear()
    operator.work()
    assert operator.due is not None
    assert (operator.due - server.now).total_seconds() == seconds
    assert operator.sync(seconds - 1)["reason"] == "Starting"
    status = operator.sync(1)
    assert (status["state"], status["reason"]) == ("Pending", "SchedulerNotInstalled")
    sentence = (
        f"{COORDINATOR}: no scheduler named {name} has looked at this pod for {seconds} s; install or start it, or "
        f"make the job again with another spec.scheduling.{field}"
    )
    assert told(server, "Succeeded") == ("SchedulerNotInstalled", sentence)
    assert [event["type"] for event in server.events.values()] == ["Normal", "Warning"]

    writes = server.status_writes
    operator.sync(60)
    assert server.status_writes == writes
    for pod in server.running():
        server.start(pod)
    assert operator.sync(1)["state"] == "Running"


def test_a_scheduler_that_finds_no_place_has_looked() -> None:
    server = Server(manifest())
    operator = Operator(server)
    operator.sync()
    no_place = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}
    for name in server.running():
        server.set_pod(name, phase="Pending", conditions=[no_place])
    assert operator.sync(300)["reason"] == "Unschedulable"
