"""Jobs that Kueue admits: their pods wait gated, are made again after pre-emption, and tell Kueue of their end."""

from typing import Any

import pytest
from restart_counts import restarts
from simulated import KEY, Server, manifest
from simulated_operator import Operator

COORDINATOR, WORKER = "movies-coordinator-0", "movies-w0-0"
GROUP = "kueue.x-k8s.io/pod-group-name"
END = "kueue.x-k8s.io/retriable-in-group"
GATE = {"name": "kueue.x-k8s.io/admission"}
SCHEDULING = {"gang": {"scheduler": "kueue"}, "queue": "research"}


@pytest.fixture
def server() -> Server:
    """A job of one worker in a queue of Kueue."""
    return Server(manifest(scheduling=SCHEDULING))


def begin(server: Server, operator: Operator) -> None:
    """Every pod is made and admitted."""
    operator.sync()
    for name in server.running():
        server.start(name)
    operator.sync(1)


def groups(server: Server) -> set[str]:
    """The groups of the pods that run."""
    return {server.live[name]["metadata"]["labels"][GROUP] for name in server.running()}


def ended_groups(server: Server) -> set[str]:
    """The groups that Kueue is told have ended."""
    found = (pod["metadata"] for pod in server.live.values())
    return {each["labels"][GROUP] for each in found if each["annotations"].get(END) == "false"}


def preempt(server: Server, name: str, code: int) -> None:
    """Kueue marks and deletes a pod; its finalizer keeps it there when it has ended."""
    server.stop(name)
    server.end(name, code)
    mark = {"type": "TerminationTarget", "status": "True", "reason": "Preempted", "message": "Preempted: more urgent"}
    server.set_pod(name, **{**server.live[name]["status"], "conditions": [mark]})


def test_a_pod_that_waits_for_admission_says_for_which_queue(server: Server) -> None:
    operator = Operator(server)
    operator.sync()
    closed = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "has gates"}
    for name in server.running():
        spec = {**server.live[name]["spec"], "schedulingGates": [GATE]}
        server.live[name] = {**server.live[name], "spec": spec}
        server.set_pod(name, phase="Pending", conditions=[closed])
    status = operator.sync(600)
    assert (status["state"], status["reason"]) == ("Pending", "QueuedByKueue")
    (told,) = [each["message"] for each in status["conditions"] if each["type"] == "Succeeded"]
    assert told == f"{COORDINATOR}: waits until Kueue admits it from queue research"


@pytest.mark.parametrize("code", [143, 137])
def test_after_preemption_all_pods_are_made_again_in_the_same_group_at_no_cost(server: Server, code: int) -> None:
    operator = Operator(server)
    begin(server, operator)
    (group,) = groups(server)
    for name in (WORKER, COORDINATOR):
        preempt(server, name, code)
    status = operator.sync(1)
    assert server.running() == ["movies-coordinator-1", "movies-w0-2"]
    assert groups(server) == {group}
    assert restarts(status) == (0, 2)
    assert (status["lastFailure"]["class"], status["lastFailure"]["reason"]) == ("Infrastructure", "PreemptedByKueue")
    assert ended_groups(server) == set()


def test_pods_that_kueue_deletes_before_they_run_are_made_again(server: Server) -> None:
    operator = Operator(server)
    operator.sync()
    for name in server.running():
        server.stop(name)
    status = operator.sync(1)
    assert len(server.running()) == 2
    assert status["restarts"]["counted"] == 0


def test_a_suspended_job_ends_its_group_before_its_pods_go_and_resumes_in_another(server: Server) -> None:
    operator = Operator(server)
    begin(server, operator)
    (group,) = groups(server)
    writes: list[str] = []
    server.gate = lambda point, when: writes.append(point) if when == "before" else None
    server.edit(runPolicy={"suspend": True})
    operator.sync(1)
    assert ended_groups(server) == {group}
    assert writes.index("apply Pod") < writes.index("delete Pod")
    assert writes.count("apply Pod") == 1
    for name in (COORDINATOR, WORKER):
        server.end(name, 143)
    operator.sync(1)
    server.edit(runPolicy={"suspend": False})
    operator.sync(1)
    assert len(groups(server)) == 1
    assert groups(server) != {group}
    assert ended_groups(server) == {group}


@pytest.mark.parametrize("code", [0, 65])
def test_the_end_of_a_job_ends_its_group_once(server: Server, code: int) -> None:
    operator = Operator(server)
    begin(server, operator)
    (group,) = groups(server)
    server.end(COORDINATOR, code)
    operator.sync(1)
    operator.sync(1)
    assert ended_groups(server) == {group}
    version = server.version
    Operator(server).sync(1)
    assert server.version == version


def test_a_new_attempt_ends_the_group_of_the_former_one(server: Server) -> None:
    operator = Operator(server)
    begin(server, operator)
    (group,) = groups(server)
    server.end(WORKER, 67)
    operator.sync(1)
    server.end(COORDINATOR, 67)
    operator.sync(60)
    operator.sync(1)
    assert ended_groups(server) == {group}
    assert groups(server) == {group[:-1] + "1"}


@pytest.mark.parametrize("again", [False, True])
def test_the_pods_of_a_deleted_job_end_their_group(server: Server, again: bool) -> None:
    operator = Operator(server)
    begin(server, operator)
    (group,) = groups(server)
    server.withdraw()
    if again:
        server.submit(manifest(scheduling=SCHEDULING))
    operator.hear()
    operator.work()
    assert ended_groups(server) == {group}


def test_a_pod_of_a_deleted_job_that_is_gone_unheard_is_forgotten(server: Server) -> None:
    operator = Operator(server)
    begin(server, operator)
    server.withdraw()
    operator.hear()
    server.collect_garbage()
    operator.work()
    operator.work()
    assert operator.store.orphans(KEY, None) == []


def test_the_pods_of_other_jobs_are_not_touched() -> None:
    server = Server(manifest())
    operator = Operator(server)
    begin(server, operator)
    before: Any = dict(server.live)
    server.withdraw()
    operator.sync(1)
    assert server.live == before
