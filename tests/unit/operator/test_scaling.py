"""A running job is scaled: its coordinator is given the new job document at once, and nothing else is made anew."""

from typing import Any

import pytest
from simulated import POINTS, Server, manifest, refusing, welcoming
from simulated_operator import Operator

from gmeta_operator.client import ApiError

COORDINATOR = "movies-coordinator-0"


@pytest.fixture
def server() -> Server:
    """A job of three workers that run."""
    server = Server(manifest(workers={"replicas": 3}))
    operator = Operator(server)
    operator.sync()
    for name in list(server.live):
        server.start(name)
    operator.sync(1)
    operator.die()
    return server


class Requests:
    """The names of the writes that a server sees."""

    def __init__(self, server: Server) -> None:
        self.seen: list[str] = []
        server.gate = self.gate

    def gate(self, point: str, when: str) -> None:
        if when == "before" and point in POINTS:
            self.seen.append(point)

    def taken(self) -> list[str]:
        """What was seen since this was asked last."""
        seen, self.seen = self.seen, []
        return seen


def wanted(server: Server) -> Any:
    """How many workers the coordinator's job document tells of."""
    uid = server.live[COORDINATOR]["metadata"]["uid"]
    return server.documents[uid]["spec"]["workers"]["replicas"]


def scale(server: Server, replicas: int) -> None:
    server.edit(workers={"replicas": replicas})


@pytest.mark.parametrize("restarted", [False, True])
def test_scaled_down_the_coordinator_is_told_once_and_surplus_pods_leave(server: Server, restarted: bool) -> None:
    operator = Operator(server)
    operator.sync()
    scale(server, 1)
    operator = Operator(server) if restarted else operator
    requests = Requests(server)
    operator.sync()
    told = ["apply ConfigMap", "apply Service", "apply NetworkPolicy", "apply Pod"]
    assert requests.taken() == [*told, "apply status", "delete Pod", "delete Pod"]
    assert wanted(server) == 1
    assert server.running() == [COORDINATOR, "movies-w0-0"]
    for _ in range(3):
        operator.sync(5)
        assert requests.taken() == []
    Operator(server).sync()
    assert requests.taken() == []


def test_scaled_up_the_coordinator_is_told_before_pods_are_made(server: Server) -> None:
    operator = Operator(server)
    scale(server, 4)
    requests = Requests(server)
    operator.sync()
    writes = requests.taken()
    assert writes[3:5] == ["apply Pod", "create Pod"]
    assert server.made[4:] == ["movies-w3-1"]
    assert wanted(server) == 4


def test_what_pods_are_known_by_stays(server: Server) -> None:
    before = server.live[COORDINATOR]["metadata"]
    scale(server, 1)
    operator = Operator(server)
    operator.sync()
    after = server.live[COORDINATOR]["metadata"]
    changes = {"gmeta.dev/job-generation": "2", "gmeta.dev/leader-epoch": str(operator.epoch)}
    assert after["annotations"] == {**before["annotations"], **changes}
    assert (after["uid"], after["labels"]) == (before["uid"], before["labels"])


@pytest.mark.parametrize("refused", ["apply ConfigMap", "apply Pod"])
def test_a_refused_change_is_told_and_tried_again(server: Server, refused: str) -> None:
    operator = Operator(server)
    scale(server, 1)
    server.gate = refusing(refused, "no such right")
    with pytest.raises(ApiError, match="no such right"):
        operator.sync()
    assert server.job is not None
    assert server.job["status"]["reason"] == "CreateFailed"
    assert wanted(server) == 3
    server.gate = welcoming
    status = operator.sync()
    assert (status["state"], wanted(server)) == ("Running", 1)
    assert server.running() == [COORDINATOR, "movies-w0-0"]


def test_a_coordinator_that_has_gone_unheard_is_not_told(server: Server) -> None:
    operator = Operator(server)
    operator.sync()
    scale(server, 1)
    operator.hear()
    server.remove(COORDINATOR)
    operator.work()
    operator.work()
    assert server.made[4:] == ["movies-coordinator-1"]
    uid = server.live["movies-coordinator-1"]["metadata"]["uid"]
    assert server.documents[uid]["spec"]["workers"]["replicas"] == 1


def test_a_suspended_job_is_told_nothing(server: Server) -> None:
    server.edit(runPolicy={"suspend": True})
    requests = Requests(server)
    operator = Operator(server)
    operator.sync()
    operator.sync(1)
    assert {point for point in requests.taken() if point.startswith("apply")} == {"apply status"}


def test_an_operator_that_is_behind_does_not_take_a_change_back(server: Server) -> None:
    late = Operator(server)
    late.sync()
    scale(server, 1)
    Operator(server).sync()
    late.events.popleft()  # the job's new manifest is not heard
    late.hear()
    late.work()
    assert wanted(server) == 1
