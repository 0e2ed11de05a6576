"""What a restart costs where several things happen at once."""

import json
from typing import Any

import pytest
from restart_counts import restarts
from simulated import Server, manifest
from simulated_operator import Operator

from gmeta_operator.report import read_report


def begun(**groups: Any) -> tuple[Server, Operator]:
    server = Server(manifest(**groups))
    operator = Operator(server)
    operator.sync()
    for name in sorted(server.live):
        server.start(name)
    operator.sync(1)
    return server, operator


def test_a_worker_that_has_lost_its_coordinator_waits_for_the_next_one_and_costs_nothing() -> None:
    server, operator = begun()
    server.end("movies-coordinator-0", 137)
    server.end("movies-w0-0", 68)
    operator.sync(9)
    assert len(server.made) == 2
    status = operator.sync(1)
    assert server.made[2:] == ["movies-coordinator-1", "movies-w0-2"]
    assert restarts(status) == (1, 1)


def test_a_worker_that_misses_a_coordinator_that_was_replaced_costs_nothing() -> None:
    server, operator = begun()
    server.end("movies-coordinator-0", 137)
    operator.sync(10)
    server.start("movies-coordinator-1")
    server.end("movies-w0-0", 68)
    status = operator.sync(1)
    assert (server.made[3:], restarts(status)) == (["movies-w0-2"], (1, 1))


def test_a_worker_that_loses_a_coordinator_that_runs_costs_a_restart() -> None:
    server, operator = begun()
    server.end("movies-w0-0", 68)
    operator.sync(9)
    assert len(server.made) == 2
    assert restarts(operator.sync(1)) == (1, 0)


@pytest.mark.parametrize("code", [68, 137])
def test_no_worker_is_replaced_once_the_coordinator_has_told_the_end(code: int) -> None:
    server, operator = begun()
    finished = {"outcome": "succeeded", "message": "all steps are done", "exit_code": 0}
    server.report = read_report(json.dumps({"attempt": 0, "finished": finished}))
    server.end("movies-w0-0", code)
    operator.sync(5)
    operator.sync(60)
    assert len(server.made) == 2
    server.end("movies-coordinator-0", 0)
    status = operator.sync(1)
    assert (status["state"], restarts(status)) == ("Succeeded", (0, 0))


def test_a_pod_that_somebody_removes_is_replaced_under_another_name() -> None:
    server, operator = begun(workers={"replicas": 2})
    server.remove("movies-w0-0")
    status = operator.sync(1)
    assert (server.made[3:], restarts(status)) == (["movies-w0-1"], (0, 1))


def test_a_worker_that_is_added_later_has_a_name_of_its_own() -> None:
    server, operator = begun(workers={"replicas": 2})
    server.edit(workers={"replicas": 1})
    operator.sync(1)
    server.leave()
    operator.sync(1)
    server.edit(workers={"replicas": 2})
    operator.sync(1)
    assert server.made[3:] == ["movies-w1-1"]


def test_a_pod_without_a_container_waits_for_its_back_off_too() -> None:
    rule = {"name": "eviction", "reasons": ["Evicted"], "action": "Restart"}
    server, operator = begun(faultTolerance={"rules": [rule]})
    server.evict("movies-w0-0")
    operator.sync(9)
    assert len(server.made) == 2
    assert restarts(operator.sync(1)) == (1, 0)


def test_the_price_of_a_group_is_that_of_what_failed_first() -> None:
    server, operator = begun(workers={"replicas": 2})
    server.end("movies-w1-0", 67)
    operator.sync(1)
    server.end("movies-w0-0", 67)
    status = operator.sync(1)
    assert status["lastFailure"]["pod"] == "movies-w1-0"


def test_success_is_told_before_the_pods_that_say_so_go() -> None:
    server, operator = begun(runPolicy={"cleanPodPolicy": "All"})
    server.end("movies-w0-0", 0)
    server.end("movies-coordinator-0", 0)

    def crash(point: str, when: str) -> None:
        if (point, when) == ("delete Pod", "after"):
            raise KeyboardInterrupt

    server.gate = crash
    with pytest.raises(KeyboardInterrupt):
        operator.sync(1)
    assert len(server.live) < 2
    assert server.job is not None
    assert server.job["status"]["state"] == "Succeeded"
