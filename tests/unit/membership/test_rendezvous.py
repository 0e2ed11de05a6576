"""The coordinator as torch's rendezvous: who joins with what, and what the agent gets to know."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from torch.distributed.elastic.rendezvous import RendezvousGracefulExitError

from gmeta_api.errors import CoordinationError
from gmeta_worker.coordination.client import FencedError
from gmeta_worker.coordination.messages import Ended, Join, Member, Orders, RankEnd, Round, Wait
from gmeta_worker.membership import heartbeat, store
from gmeta_worker.membership.rendezvous import CoordinatorRendezvous, Worker
from gmeta_worker.membership.store import connect, read_round

LOOPBACK = "127.0.0.1"


def announced(*joins: Join, generation: int = 1, place: int = 0) -> Round:
    members = tuple(
        Member(worker=each.worker, process=each.process, host=each.host, port=each.port, first_rank=rank, ranks=1)
        for rank, each in enumerate(joins)
    )
    size = len(members)
    return Round(
        generation=generation, members=members, place=place, world_size=size, commit=None, weights=(1.0,) * size
    )


class Coordinator:
    """Stands for the client and what is behind it: replies to joins from a list, a round made of the join for None."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.joins: list[Join] = []
        self.orders: Orders | None = Orders(rejoin=False)
        self.fenced = False
        self.beats: list[int] = []
        self.left: list[str] = []

    def join(self, message: Join) -> Any:
        self.joins.append(message)
        reply = self.replies.pop(0)
        if reply is None:
            self.orders = Orders(rejoin=False)  # those of before were about the round before
            return announced(message, generation=len(self.joins))
        return reply

    def beat(self, message: Any) -> Orders | None:
        self.beats.append(message.generation)
        if self.fenced:
            raise FencedError("refused: replaced")
        return self.orders

    def leave(self, message: Any) -> bool:
        self.left.append(message.message)
        return True

    def close(self) -> None:
        pass


@contextmanager
def joining(coordinator: Any, index: int = 0) -> Iterator[CoordinatorRendezvous]:
    rendezvous = CoordinatorRendezvous(Worker("demo", 2, index, 1, LOOPBACK), coordinator, coordinator)
    with rendezvous.heartbeat:
        yield rendezvous


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(store, "CONNECT_TIMEOUT", timedelta(seconds=1))


def wait_for_beats(coordinator: Coordinator, generation: int) -> None:
    """Until a beat of the generation has been answered."""
    seen = len(coordinator.beats)
    done = threading.Event()
    for _ in range(500):
        if generation in coordinator.beats[seen:-1]:
            return
        done.wait(0.01)
    raise AssertionError(f"no beat of generation {generation}: {coordinator.beats}")


def test_an_agent_asks_until_there_is_a_round_and_serves_its_store() -> None:
    coordinator = Coordinator(Wait(seconds=0, message="1 of 2"), Wait(seconds=0, message="1 of 2"), None)
    with joining(coordinator) as rendezvous:
        info = rendezvous.next_rendezvous()
        assert (info.rank, info.world_size) == (0, 1)
        first, *others = coordinator.joins
        assert (first.attempt, first.worker, first.host, first.ranks, first.after) == (2, 0, LOOPBACK, 1, 0)
        assert others == [first, first]
        address = info.bootstrap_store_info
        assert address is not None
        assert (address.master_addr, address.master_port) == (LOOPBACK, first.port)
        assert read_round(connect(LOOPBACK, first.port)) == rendezvous.current
        assert rendezvous.get_run_id() == "demo-2"


def test_the_other_members_find_the_round_at_the_first_one() -> None:
    first = Coordinator(None)
    with joining(first) as host:
        served = host.next_rendezvous()
        place = Coordinator(host.current.model_copy(update={"place": 1}))
        with joining(place, index=1) as guest:
            info = guest.next_rendezvous()
            assert info.rank == 1
            assert read_round(info.store) == host.current  # type: ignore[arg-type]
        del served  # and with it the store


def test_what_became_of_the_ranks_is_told_with_the_next_join_only() -> None:
    coordinator = Coordinator(None, None, None)
    with joining(coordinator) as rendezvous:
        rendezvous.next_rendezvous()
        rendezvous.lost = (RankEnd(rank=0, exit_code=137),)
        rendezvous.next_rendezvous()
        rendezvous.next_rendezvous()
    told = [(each.after, each.ended) for each in coordinator.joins]
    assert told == [(0, ()), (1, (RankEnd(rank=0, exit_code=137),)), (2, ())]
    assert len({each.process for each in coordinator.joins}) == 1


def test_orders_reach_the_agent_and_the_coordinators_absence_does_not() -> None:
    coordinator = Coordinator(None, None)
    with joining(coordinator) as rendezvous:
        assert rendezvous.num_nodes_waiting() == 0
        rendezvous.next_rendezvous()
        wait_for_beats(coordinator, 1)
        assert (rendezvous.num_nodes_waiting(), rendezvous.grace) == (0, None)
        coordinator.orders = None
        wait_for_beats(coordinator, 1)
        assert rendezvous.num_nodes_waiting() == 0
        coordinator.orders = Orders(rejoin=True, grace=3.0, message="rank 1 failed")
        wait_for_beats(coordinator, 1)
        assert (rendezvous.num_nodes_waiting(), rendezvous.grace) == (1, 3.0)
        rendezvous.next_rendezvous()
        wait_for_beats(coordinator, 2)
        assert (rendezvous.num_nodes_waiting(), rendezvous.grace) == (0, None)


def test_the_end_of_the_attempt_is_heard_on_joining() -> None:
    ended = Ended(outcome="failed", message="no column", exit_code=65)
    with joining(Coordinator(Wait(seconds=0, message=""), ended)) as rendezvous:
        with pytest.raises(RendezvousGracefulExitError):
            rendezvous.next_rendezvous()
        assert rendezvous.ended == ended
        assert rendezvous.is_closed()


@pytest.mark.parametrize(("outcome", "rejoin"), [("failed", 1), ("succeeded", 0)])
def test_the_end_of_the_attempt_is_heard_with_orders(outcome: Any, rejoin: int) -> None:
    coordinator = Coordinator(None)
    with joining(coordinator) as rendezvous:
        rendezvous.next_rendezvous()
        ended = Ended(outcome=outcome, message="", exit_code=0)
        coordinator.orders = Orders(rejoin=True, grace=10.0, ended=ended)
        wait_for_beats(coordinator, 1)
        assert rendezvous.num_nodes_waiting() == rejoin, "ranks that have succeeded are left to end by themselves"
        with pytest.raises(RendezvousGracefulExitError):
            rendezvous.next_rendezvous()
        assert (rendezvous.ended, len(coordinator.joins)) == (ended, 1), "the coordinator may be gone by now"


def test_a_first_member_that_is_gone_is_told_by_joining_again() -> None:
    dead = Join(attempt=2, worker=0, process="dead-process", host=LOOPBACK, port=1, ranks=1)
    coordinator = Coordinator(announced(dead, dead, generation=7, place=1), None)
    with joining(coordinator, index=1) as rendezvous:
        rendezvous.next_rendezvous()
    assert [each.after for each in coordinator.joins] == [0, 7]


def test_a_replaced_agent_is_told_so() -> None:
    coordinator = Coordinator(None)
    with joining(coordinator) as rendezvous:
        rendezvous.next_rendezvous()
        coordinator.fenced = True
        wait_for_beats(coordinator, 1)
        with pytest.raises(FencedError):
            rendezvous.num_nodes_waiting()
        rendezvous.leave("replaced")
        assert coordinator.left == ["replaced"]


def test_a_store_without_a_round_is_no_round() -> None:
    with store.Listener(LOOPBACK) as listener:
        join = Join(attempt=0, worker=0, process="some-process", host=LOOPBACK, port=listener.port, ranks=1)
        served = listener.serve(LOOPBACK, announced(join))
    served.delete_key(store.ROUND_KEY)
    with pytest.raises(CoordinationError, match="the store of the round does not answer"):
        read_round(connect(LOOPBACK, join.port))
