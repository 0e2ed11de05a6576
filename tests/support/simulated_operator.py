"""One life of the operator over a simulated API server: its store and memory go with it."""

import itertools
import sys
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from simulated import KEY, Server, owner

from gmeta_api.objects import Object, PodDefaults
from gmeta_operator.client import ApiError
from gmeta_operator.controller import Controller
from gmeta_operator.leader_api import Fenced, LeaderApi
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.observer import coordinator_address
from gmeta_operator.poller import SHORTEST_SECONDS, Poller
from gmeta_operator.report import Report
from gmeta_operator.settings import Settings
from gmeta_operator.store import Store, uid
from gmeta_operator.work_queue import WorkQueue

SETTINGS = Settings(PodDefaults("worker:1"))
RETRY = timedelta(seconds=1)
POLL = timedelta(seconds=SHORTEST_SECONDS)

LOSABLE = {"MetaTrainingJob": ("MODIFIED", "DELETED"), "Pod": ("ADDED", "MODIFIED", "DELETED")}

EPOCHS = itertools.count(1)
"""Of one operator after the other."""

Event = tuple[str | None, Object]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Leader:
    """An operator's leadership: it learns that it was replaced from what it reads, and from nothing else."""

    epoch: int

    def assert_leads(self) -> None:
        """It takes itself for the leader."""

    async def confirm(self, epoch: int) -> None:
        """An operator that was started later leads."""
        raise Fenced(f"epoch {epoch} leads, not {self.epoch}")


class Operator:
    """The real controller and store, with a watch whose events a test delivers.

    Attributes:
        epoch: of this operator; one that starts later has a higher one.
        events: what the watches have yet to tell, in the order of its happening.
        heard: what they have told.
        newest: the newest version of each object that they have told of, by uid.
        due: when the work queue gives the job again; None where nothing but an event makes it.
    """

    def __init__(self, server: Server, metrics: OperatorMetrics | None = None) -> None:
        self.server = server
        self.store = Store()
        self.events: deque[Event] = deque()
        self.heard: list[Event] = []
        self.newest: dict[str, int] = {}
        self.due: datetime | None = None
        self.polled: datetime | None = None
        self.epoch = next(EPOCHS)
        counted = metrics or OperatorMetrics()
        self.poller = Poller(self._ask, lambda key: None, counted)
        self.controller = Controller(
            LeaderApi(server, Leader(self.epoch)),
            self.store,
            WorkQueue(),
            SETTINGS,
            self.poller,
            counted,
            clock=lambda: server.now,
        )
        self.connect()
        server.watchers.append(self._watch)

    def connect(self) -> None:
        """The watches begin: what there is is listed, and what was not delivered is lost."""
        there = [*([self.server.job] if self.server.job else []), *self.server.live.values()]
        self.events = deque((None, thing) for thing in there)

    def hear(self, number: int | None = None) -> None:
        """The watches tell the next events, or all."""
        for _ in range(len(self.events) if number is None else min(number, len(self.events))):
            self.take(self.events.popleft())

    def take(self, event: Event) -> None:
        """The watches tell one event."""
        kind, thing = event
        self.heard.append(event)
        hear = self.store.hear_pod if thing["kind"] == "Pod" else self.store.hear_job
        hear(kind, thing)
        self.due = self.server.now
        self._assert_not_back(kind, thing)

    def _assert_not_back(self, kind: str | None, thing: Object) -> None:
        """What is known of an object never goes back to what was so before."""
        own = uid(thing)
        newest = self.newest.get(own, 0)
        self.newest[own] = max(newest, sys.maxsize if kind == "DELETED" else int(thing["metadata"]["resourceVersion"]))
        job = self.store.job(KEY)
        known = self.store.pods(KEY, owner(thing)) if thing["kind"] == "Pod" else [job] if job else []
        for other in known:
            if uid(other) == own:
                assert int(other["metadata"]["resourceVersion"]) >= self.newest[own], "the store goes back"

    def lose(self, number: int) -> None:
        """An event is never told; but a watch begins with all there is, and a job that is new is never missed."""
        losable = [event for event in self.events if event[0] in LOSABLE[event[1]["kind"]]]
        if losable:
            self.events.remove(losable[number % len(losable)])

    def repeat(self, number: int) -> None:
        """One of the last events is told again."""
        if self.heard:
            self.take(self.heard[-1 - number % len(self.heard)])

    def delay(self, number: int) -> None:
        """The next event comes after some of those that follow."""
        if self.events:
            self.events.insert(number % len(self.events), self.events.popleft())

    def work(self) -> None:
        """One pass over the job, as the work queue asks for it; what is heard meanwhile asks for another."""
        self.due = None
        try:
            wake = self._pass()
        except ApiError:
            wake = self.server.now + RETRY
        self.due = self.due or wake

    def die(self) -> None:
        """The process ends."""
        self.server.watchers.remove(self._watch)

    def sync(self, seconds: float = 0) -> Any:
        """Time passes, everything is heard, then one pass; the status after it."""
        self.server.now += timedelta(seconds=seconds)
        self.hear()
        self._pass()
        return self.server.job and self.server.job.get("status", {})

    def _pass(self) -> datetime | None:
        """A pass after the coordinator was asked, if it was not just now; when to work again."""
        job, now = self.store.job(KEY), self.server.now
        if job is not None:
            self.poller.aim(KEY, uid(job), coordinator_address(self.store.pods(KEY, uid(job))))
        if self.poller.address(KEY) is not None and (self.polled is None or now >= self.polled + POLL):
            self.polled = now
            run(self.poller.poll(KEY))
        wake = run(self.controller.sync(KEY))
        return wake if wake is None or self.poller.address(KEY) is None else min(wake, now + POLL)

    def _watch(self, kind: str, thing: Object) -> None:
        self.events.append((kind, thing))

    async def _ask(self, address: str) -> Report | None:
        return self.server.report


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits: the simulated server answers at once."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("the operator waits for something that is not simulated")
