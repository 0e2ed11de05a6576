"""The coordinator as the rendezvous of torch's elastic agent."""

import logging
import secrets
import time
from dataclasses import dataclass

from torch._C._distributed_c10d import TCPStore
from torch.distributed.elastic.rendezvous import (
    RendezvousGracefulExitError,
    RendezvousHandler,
    RendezvousInfo,
    RendezvousStoreInfo,
)

from gmeta_api.errors import CoordinationError
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Beat, Ended, Join, Leave, Orders, RankEnd, Round, Wait
from gmeta_worker.membership.heartbeat import Heartbeat
from gmeta_worker.membership.store import Listener, connect

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """Who an agent speaks for.

    Attributes:
        job: name of the job.
        attempt: the attempt that it belongs to.
        index: index of the worker.
        ranks: ranks that it runs.
        host: where the other workers reach it.
    """

    job: str
    attempt: int
    index: int
    ranks: int
    host: str


class CoordinatorRendezvous(RendezvousHandler):
    """Joins round after round; use it in a `with` block of its `heartbeat`.

    Args:
        worker: who joins.
        client: delivers what matters.
        beats: another client, for the heartbeat.

    Attributes:
        heartbeat: tells the coordinator that this agent is alive, and gets its orders.
        ended: how the attempt has ended, once the coordinator has said so.
        lost: ranks of the current round that have ended by themselves; the agent fills it in.
    """

    def __init__(self, worker: Worker, client: CoordinatorClient, beats: CoordinatorClient) -> None:
        self.heartbeat = Heartbeat(beats, self._beat)
        self.ended: Ended | None = None
        self.lost: tuple[RankEnd, ...] = ()
        self._worker = worker
        self._client = client
        self._process = secrets.token_hex(8)
        self._round: Round | None = None

    @property
    def current(self) -> Round:
        """The round that this agent is in."""
        assert self._round is not None, "the agent asks after a rendezvous"
        return self._round

    @property
    def grace(self) -> float | None:
        """Seconds that the coordinator gives the ranks to end; None if it has not ordered that."""
        orders = self._orders()
        return orders.grace if orders is not None and orders.rejoin else None

    def next_rendezvous(self) -> RendezvousInfo:
        """Join until there is a round for this worker.

        Raises:
            RendezvousGracefulExitError: the attempt has ended.
            CoordinationError: the coordinator cannot be reached or refuses this worker.
        """
        while True:
            with Listener(self._worker.host) as listener:
                announced = self._join(listener.port)
                self._round, self.lost = announced, ()
                try:
                    store = _store(announced, listener)
                except CoordinationError as error:
                    log.warning("%s; joining again", error)
                    continue
            first = announced.members[0]
            address = RendezvousStoreInfo(first.host, first.port)
            return RendezvousInfo(store, announced.place, len(announced.members), address)

    def num_nodes_waiting(self) -> int:
        """1 if the coordinator orders to join again; 0 while it is away, which stops nothing."""
        orders = self._orders()
        if orders is None or not orders.rejoin or _all_done(orders):
            return 0
        log.info("generation %d is over: %s", self.current.generation, orders.message)
        return 1

    def leave(self, message: str) -> None:
        """Say goodbye to the coordinator."""
        self._client.leave(Leave(attempt=self._worker.attempt, process=self._process, message=message))

    def get_backend(self) -> str:
        """Name of this kind of rendezvous."""
        return "gmeta"

    def get_run_id(self) -> str:
        """Name of the job's attempt."""
        return f"{self._worker.job}-{self._worker.attempt}"

    def is_closed(self) -> bool:
        """Whether the attempt has ended."""
        return self.ended is not None

    def set_closed(self) -> None:
        """Nothing: only the coordinator ends the attempt."""

    def shutdown(self) -> bool:
        """Nothing to close: a store lives as long as the agent refers to it."""
        return True

    def _orders(self) -> Orders | None:
        return None if self._round is None else self.heartbeat.orders(self._round.generation)

    def _beat(self) -> Beat | None:
        if self._round is None:
            return None
        return Beat(attempt=self._worker.attempt, generation=self._round.generation, process=self._process)

    def _join(self, port: int) -> Round:
        """Ask until there is a round; `port` is ready for its store."""
        message, said = self._message(port), ""
        while True:
            orders = self._orders()
            reply = orders.ended if orders and orders.ended else self._client.join(message)
            if isinstance(reply, Round):
                return reply
            if isinstance(reply, Ended):
                self.ended = reply
                raise RendezvousGracefulExitError(f"the attempt has ended: {reply.outcome}")
            said = _say(reply, said)
            time.sleep(reply.seconds)

    def _message(self, port: int) -> Join:
        worker = self._worker
        return Join(
            attempt=worker.attempt,
            worker=worker.index,
            process=self._process,
            host=worker.host,
            port=port,
            ranks=worker.ranks,
            after=0 if self._round is None else self._round.generation,
            ended=self.lost,
        )


def _store(announced: Round, listener: Listener) -> TCPStore:
    """Serve the round's store as its first member, or connect to it."""
    first = announced.members[0]
    return listener.serve(first.host, announced) if announced.place == 0 else connect(first.host, first.port)


def _say(reply: Wait, said: str) -> str:
    if reply.message != said:
        log.info("%s", reply.message)
    return reply.message


def _all_done(orders: Orders) -> bool:
    """Whether the ranks are about to end by themselves, with success."""
    return orders.ended is not None and orders.ended.outcome == "succeeded"
