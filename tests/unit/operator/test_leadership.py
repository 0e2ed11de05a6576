"""Taking, renewing, losing and giving back the Lease, and what is written meanwhile."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from simulated import Server, manifest
from simulated_operator import Leader, Operator

from gmeta_api.objects import Object
from gmeta_operator import leadership
from gmeta_operator.client import ApiError
from gmeta_operator.leader_api import EPOCH_ANNOTATION, Fenced, LeaderApi, epoch_of
from gmeta_operator.leadership import Leadership


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 20))

    return run


class Leases:
    """One Lease, as the API server keeps it; `down` while the server does not answer."""

    def __init__(self) -> None:
        self.thing: Object | None = None
        self.version = 0
        self.down = False

    async def create(self, thing: Object) -> Object:
        self._answer(conflict=self.thing is not None)
        return self._keep(thing)

    async def get_lease(self, namespace: str, name: str) -> Object | None:
        self._answer()
        return self.thing

    async def patch_lease(self, thing: Object) -> Object:
        assert self.thing is not None
        self._answer(conflict=thing["metadata"]["resourceVersion"] != self.thing["metadata"]["resourceVersion"])
        return self._keep({**self.thing, "spec": {**self.thing["spec"], **thing["spec"]}})

    def _answer(self, *, conflict: bool = False) -> None:
        if self.down or conflict:
            raise ApiError(0 if self.down else 409, "no")

    def _keep(self, thing: Object) -> Object:
        self.version += 1
        self.thing = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}
        return self.thing


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENEW_EVERY", "RETRY_EVERY"):
        monkeypatch.setattr(leadership, name, 0.01)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def candidate(leases: Leases, me: str, clock: Clock | None = None) -> Leadership:
    return Leadership(leases, "gmeta-system", "gmeta", me, clock or Clock())


@in_a_loop
async def test_the_first_leads_and_the_second_when_it_has_released_the_lease() -> None:
    leases = Leases()
    first, second = candidate(leases, "a/1"), candidate(leases, "b/1")
    assert first.standing() == (False, "the Lease gmeta-system/gmeta has not been read yet")
    await first.stand_by()
    assert (first.leading, first.standing()) == (True, (True, "leading: epoch 1"))
    waiting = asyncio.create_task(second.stand_by())
    await asyncio.sleep(0.05)
    assert (second.leading, second.standing()) == (False, (True, "standing by: a/1 holds the lease"))
    await first.release()
    await waiting
    assert (first.leading, second.leading, second.epoch) == (False, True, 2)


@in_a_loop
async def test_a_candidate_outlasts_an_api_server_that_does_not_answer() -> None:
    leases = Leases()
    leases.down = True
    waiting = asyncio.create_task((only := candidate(leases, "a/1")).stand_by())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    leases.down = False
    await waiting
    assert only.leading


@in_a_loop
async def test_a_lease_that_another_holds_is_lost_at_once() -> None:
    leases = Leases()
    leader = candidate(leases, "a/1")
    await leader.stand_by()
    keeping = asyncio.create_task(leader.keep())
    await asyncio.sleep(0.05)
    assert leases.thing is not None
    assert leases.version > 2, "it is not renewed"
    leases._keep({**leases.thing, "spec": {**leases.thing["spec"], "holderIdentity": "b/1"}})
    with pytest.raises(Fenced, match="b/1 holds the Lease"):
        await keeping


@in_a_loop
async def test_a_leader_that_cannot_renew_ends_at_the_deadline_and_writes_no_more() -> None:
    leases, clock = Leases(), Clock()
    leader = candidate(leases, "a/1", clock)
    await leader.stand_by()
    leases.down = True
    keeping = asyncio.create_task(leader.keep())
    clock.now += 9.9
    leader.assert_leads()
    clock.now += 0.1
    with pytest.raises(Fenced, match="the Lease was not renewed for 10 s"):
        leader.assert_leads()
    with pytest.raises(Fenced):
        await keeping


@in_a_loop
async def test_a_renewal_that_somebodys_edit_refuses_is_made_again() -> None:
    leases = Leases()
    leader = candidate(leases, "a/1")
    await leader.stand_by()
    assert leases.thing is not None
    leases._keep(leases.thing)
    keeping = asyncio.create_task(leader.keep())
    await asyncio.sleep(0.1)
    assert (leader.leading, keeping.done()) == (True, False)
    keeping.cancel()


@in_a_loop
async def test_a_higher_epoch_ends_the_operator_only_if_another_one_holds_the_lease() -> None:
    leases = Leases()
    leader = candidate(leases, "a/1")
    await leader.stand_by()
    await leader.confirm(9)
    leases.down = True
    await leader.confirm(9)  # it is known, and costs no further request
    leases.down = False
    assert leases.thing is not None
    leases._keep({**leases.thing, "spec": {"holderIdentity": "b/1", "leaseTransitions": 10}})
    with pytest.raises(Fenced, match="an object of leader epoch 10 was read: b/1 holds the Lease"):
        await leader.confirm(10)


def test_everything_that_an_operator_writes_carries_its_epoch() -> None:
    server = Server(manifest())
    operator = Operator(server)
    operator.sync()
    written = [*server.applied.values(), *server.live.values(), *server.events.values(), server.job or {}]
    assert {thing["kind"] for thing in written} == {
        "ConfigMap",
        "Event",
        "MetaTrainingJob",
        "NetworkPolicy",
        "Pod",
        "Service",
    }
    assert {epoch_of(thing) for thing in written} == {operator.epoch}


def test_taking_over_writes_nothing() -> None:
    server = Server(manifest())
    first = Operator(server)
    first.sync()
    first.sync()
    writes = server.version
    Operator(server).sync()
    assert server.version == writes


def test_an_operator_that_was_replaced_ends_before_it_makes_a_pod() -> None:
    server = Server(manifest())
    old, new = Operator(server), Operator(server)
    old.sync()
    server.end("movies-w0-0", 143)
    new.sync()
    assert server.made[-1] == "movies-w0-1"
    with pytest.raises(Fenced):
        old.sync(seconds=301)
    server.remove("movies-w0-1")
    with pytest.raises(Fenced):
        old.sync()
    assert server.made.count("movies-w0-1") == 1


@in_a_loop
async def test_a_status_over_that_of_a_later_leader_is_refused() -> None:
    server = Server(manifest())
    await LeaderApi(server, Leader(7)).apply_status(server.job or {}, {"state": "Running"})
    with pytest.raises(Fenced):
        await LeaderApi(server, Leader(6)).apply_status(server.job or {}, {"state": "Pending"})
    assert (server.job or {})["status"] == {"state": "Running", "leaderEpoch": 7}


@pytest.mark.parametrize("text", ["", "many", "-1", "9" * 40, "²"])
def test_an_annotation_that_is_no_epoch_says_nothing(text: str) -> None:
    assert epoch_of({"metadata": {"annotations": {EPOCH_ANNOTATION: text}}}) == 0
