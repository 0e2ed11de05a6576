"""Deadlines, suspension and expiry of a job, each at its second."""

import json
from typing import Any

from restart_counts import restarts
from simulated import Server, conditions, manifest
from simulated_operator import Operator

from gmeta_operator.report import read_report


def submitted(**policy: Any) -> tuple[Server, Operator]:
    server = Server(manifest(runPolicy=policy))
    operator = Operator(server)
    operator.sync()
    return server, operator


def start(server: Server, operator: Operator, *names: str) -> dict[str, Any]:
    for name in names or sorted(server.live):
        server.start(name)
    status: dict[str, Any] = operator.sync()
    return status


def succeeded(status: dict[str, Any]) -> str:
    return next(str(each["message"]) for each in status["conditions"] if each["type"] == "Succeeded")


def woken(operator: Operator) -> float:
    """Seconds until the operator looks at the job by itself."""
    operator.work()
    assert operator.due is not None
    return (operator.due - operator.server.now).total_seconds()


def test_a_job_fails_at_its_active_deadline_and_not_before() -> None:
    server, operator = submitted(activeDeadlineSeconds=60)
    operator.sync(100)
    assert operator.sync()["state"] == "Pending", "the time begins with the first worker"
    status = start(server, operator)
    assert status["startTime"] == status["runningTime"] == "2026-01-02T12:01:40Z"
    commit = {"attempt": 0, "step": 40, "path": "a0/s40"}
    server.report = read_report(json.dumps({"attempt": 0, "commit": commit}))
    assert operator.sync(58)["state"] == "Running"
    assert woken(operator) == 2
    assert operator.sync(1)["state"] == "Running"
    status = operator.sync(1)
    assert (status["state"], status["reason"]) == ("Failed", "DeadlineExceeded")
    words = "the job has run for runPolicy.activeDeadlineSeconds of 60 s; step 40 is committed"
    assert succeeded(status) == words
    assert server.running() == [], "what runs is told to end"


def test_a_job_fails_when_its_pods_do_not_all_run_in_time() -> None:
    server, operator = submitted(preRunningDeadlineSeconds=30)
    scheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes have a GPU",
    }
    server.set_pod("movies-w0-0", phase="Pending", conditions=[scheduled])
    start(server, operator, "movies-coordinator-0")
    assert operator.sync(29)["state"] == "Pending"
    assert woken(operator) == 1
    status = operator.sync(1)
    assert (status["state"], status["reason"]) == ("Failed", "PreRunningDeadlineExceeded")
    assert succeeded(status) == (
        "not all pods have run within runPolicy.preRunningDeadlineSeconds of 30 s: movies-w0-0: 0/3 nodes have a GPU"
    )
    assert server.running() == [], "what has begun is told to end"
    assert sorted(server.live) == ["movies-coordinator-0"], "what has not goes at once"


def test_a_job_that_has_run_may_wait_for_a_replacement() -> None:
    server, operator = submitted(preRunningDeadlineSeconds=30)
    start(server, operator)
    server.remove("movies-w0-0")
    operator.sync(1)
    assert operator.sync(100)["state"] == "Pending"


def test_an_ended_job_goes_when_its_time_is_over() -> None:
    server, operator = submitted(activeDeadlineSeconds=1, ttlSecondsAfterFinished=50)
    start(server, operator)
    assert operator.sync(1)["state"] == "Failed"
    server.leave()
    operator.sync(10)
    assert woken(operator) == 40
    assert operator.sync(39)["state"] == "Failed"
    assert operator.sync(1) is None
    assert server.job is None


def test_an_ended_job_without_a_time_to_live_stays() -> None:
    server, operator = submitted(activeDeadlineSeconds=1)
    start(server, operator)
    operator.sync(1)
    server.leave()
    operator.sync(1_000_000)
    assert server.job is not None
    operator.work()
    assert operator.due is None


def test_a_suspended_job_commits_first_says_so_and_begins_anew() -> None:
    server, operator = submitted(activeDeadlineSeconds=60)
    start(server, operator)
    commit = {"attempt": 0, "step": 40, "path": "a0/s40"}
    server.report = read_report(json.dumps({"attempt": 0, "commit": commit}))
    operator.sync(50)
    server.edit(runPolicy={"activeDeadlineSeconds": 60, "suspend": True})
    operator.sync()
    status = operator.sync(1)
    assert (status["state"], status["reason"]) == ("Suspended", "Suspending")
    assert succeeded(status) == "the processes commit and leave: movies-coordinator-0, movies-w0-0"
    server.leave()
    status = operator.sync(1)
    assert (status["state"], status["reason"]) == ("Suspended", "Suspended")
    assert succeeded(status) == "no pod runs; step 40 is committed; set runPolicy.suspend to false to go on"
    assert {"startTime", "runningTime"} & set(status) == set()
    server.edit(runPolicy={"activeDeadlineSeconds": 60, "suspend": False})
    operator.sync(1000)
    status = start(server, operator)
    assert (status["state"], status["attempt"], restarts(status)) == ("Running", 1, (0, 1))
    assert operator.sync(59)["state"] == "Running", "the deadline has begun anew"
    assert operator.sync(1)["reason"] == "DeadlineExceeded"


def test_another_controllers_job_is_left_alone() -> None:
    server, _ = submitted(managedBy="kueue.x-k8s.io/multikueue")
    assert (server.made, server.status_writes, server.events) == ([], 0, {})
    ours, its_operator = submitted(managedBy="gmeta.dev/operator")
    assert len(ours.made) == 2
    assert conditions(its_operator.sync())["Invalid"] == ("False", "SpecValid")


def test_processes_that_know_of_the_end_leave_by_themselves() -> None:
    server, operator = submitted()
    start(server, operator)
    finished = {"outcome": "failed", "message": "no such model", "exit_code": 66}
    server.end("movies-coordinator-0", 66, json.dumps({"attempt": 0, "finished": finished}))
    assert operator.sync()["state"] == "Failed"
    assert server.running() == ["movies-w0-0"], "its log would go with it"
    assert woken(operator) == 10
    operator.sync(9)
    assert server.running() == ["movies-w0-0"]
    operator.sync(1)
    assert server.running() == [], "it has not left"
