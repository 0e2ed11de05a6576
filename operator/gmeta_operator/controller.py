"""From the work queue to the API server: observe, reconcile, write."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gmeta_api.objects import JOB_LABEL, Object
from gmeta_operator.client import ApiError
from gmeta_operator.decide import COORDINATOR
from gmeta_operator.history import condition_status
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.pods import PodFacts, pod_facts
from gmeta_operator.reconcile import Observed, Plan, reconcile
from gmeta_operator.report import Report
from gmeta_operator.settings import Settings
from gmeta_operator.store import Key, Resource, Store
from gmeta_operator.work_queue import WorkQueue

CONCURRENCY = 8
POLL_SECONDS = 5.0
RELIST_SECONDS = 300.0
"""How long a missed event may go unnoticed."""

log = logging.getLogger(__name__)

Ask = Callable[[str], Awaitable[Report | None]]


class Writes(Protocol):
    """What a pass needs of the API server."""

    async def apply(self, thing: Object) -> Object:
        """Server-side apply."""

    async def apply_status(self, job: Resource, status: Resource) -> Object:
        """Server-side apply of a status."""

    async def create(self, thing: Object) -> Object:
        """Create an object."""

    async def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a pod."""

    async def pods(self, namespace: str, selector: str) -> list[Object]:
        """List pods."""


@dataclass
class Memory:
    """What the operator remembers of a job between two passes; losing it costs a request or two.

    Attributes:
        uid: of the job.
        listed: when its pods were listed last.
        polled: when its coordinator was asked last.
        seen: monotonic time at which a new job was first heard of, until its first pods are made.
        report: what its coordinator said last.
    """

    uid: str
    listed: datetime | None = None
    polled: datetime | None = None
    seen: float | None = None
    report: Report | None = None


@dataclass
class Controller:
    """Works on jobs as the queue gives them.

    Attributes:
        api: where writes go.
        store: what the watches have told.
        queue: which job is next.
        settings: the operator's settings.
        ask: asks the coordinator at an address for its status document.
        metrics: what is counted of it.
        clock: the time.
    """

    api: Writes
    store: Store
    queue: WorkQueue
    settings: Settings
    ask: Ask
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _memories: dict[Key, Memory] = field(default_factory=dict)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                with self.metrics.reconciling(time.monotonic() - self.queue.added(key)):
                    wake = await self.sync(key)
            except ApiError as error:
                pause = self.queue.failed(key)
                log.warning("%s/%s: %s; trying again in %.1f s", *key, error, pause)
            except Exception:
                log.exception("%s/%s: trying again in %.1f s", *key, self.queue.failed(key))
            else:
                self.queue.done(key, None if wake is None else (wake - self.clock()).total_seconds())

    async def sync(self, key: Key) -> datetime | None:
        """One pass over a job; when to look at it again if nothing happens until then.

        Raises:
            ApiError: a write has failed; where that was the creation of a child, the status says so.
        """
        job = self.store.job(key)
        if job is None or "deletionTimestamp" in job["metadata"]:
            self._memories.pop(key, None)
            return None
        memory = self._memory(key, job)
        await self._relist(key, memory)
        await self._poll(key, memory)
        try:
            plan = await self._act(key, memory)
        except ApiError as error:
            await self._tell(key, self._plan(key, memory, str(error)))
            raise
        await self._tell(key, plan)
        return self._wake(key, memory, plan)

    def _memory(self, key: Key, job: Resource) -> Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != job["metadata"]["uid"]:
            new = self.queue.added(key) if not job.get("status") else None
            memory = self._memories[key] = Memory(job["metadata"]["uid"], seen=new)
        return memory

    def _pods(self, key: Key, memory: Memory) -> tuple[PodFacts, ...]:
        return tuple(pod_facts(pod) for pod in self.store.pods(key, memory.uid))

    async def _relist(self, key: Key, memory: Memory) -> None:
        """Before the first decision, and from time to time: an event that was missed would be missed for ever."""
        now = self.clock()
        if memory.listed is None or (now - memory.listed).total_seconds() >= RELIST_SECONDS:
            self.store.replace_pods(key, await self.api.pods(key[0], f"{JOB_LABEL}={key[1]}"))
            memory.listed = now

    async def _poll(self, key: Key, memory: Memory) -> None:
        coordinator = self._coordinator(key, memory)
        now = self.clock()
        recently = memory.polled is not None and (now - memory.polled).total_seconds() < POLL_SECONDS
        if coordinator is None or coordinator.address is None or recently:
            return
        memory.polled = now
        answer = await self.ask(coordinator.address)
        self.metrics.polled(answered=answer is not None)
        memory.report = answer or memory.report

    def _coordinator(self, key: Key, memory: Memory) -> PodFacts | None:
        """The coordinator's pod, if it can be asked."""
        found = (pod for pod in self._pods(key, memory) if pod.slot == COORDINATOR and pod.ready and not pod.ended)
        return max(found, key=lambda pod: pod.number, default=None)

    def _plan(self, key: Key, memory: Memory, trouble: str | None = None) -> Plan:
        job = self.store.job(key)
        if job is None:
            return Plan()
        observed = Observed(job, self._pods(key, memory), memory.report, trouble)
        return reconcile(observed, self.settings, self.clock())

    async def _act(self, key: Key, memory: Memory) -> Plan:
        """Everything of a plan but what tells of it. It stops at the first refusal: order matters."""
        plan = self._plan(key, memory)
        for thing in plan.applies:
            await self.api.apply(thing)
        for pod in plan.creates:
            await self._create(key, memory, pod)
        if plan.creates and memory.seen is not None:
            self.metrics.pods_created(time.monotonic() - memory.seen)
        memory.seen = None
        for name in plan.deletes:
            await self.api.delete_pod(key[0], name)
        return plan

    async def _create(self, key: Key, memory: Memory, pod: Object) -> None:
        try:
            self.store.put_pod({"apiVersion": "v1", "kind": "Pod", **await self.api.create(pod)})
        except ApiError as error:
            if error.status != 409:
                raise
            memory.listed = None
            await self._relist(key, memory)
            if pod["metadata"]["name"] not in {each.name for each in self._pods(key, memory)}:
                raise  # a pod of a former job of this name, which has yet to go

    async def _tell(self, key: Key, plan: Plan) -> None:
        for event in plan.events:
            await self._record(event)
        await self._write_status(key, plan)

    async def _record(self, event: Object) -> None:
        """Record an event; one that is there already has been recorded before a crash."""
        try:
            await self.api.create(event)
        except ApiError as error:
            if error.status != 409:
                log.warning("no event: %s", error)

    async def _write_status(self, key: Key, plan: Plan) -> None:
        job = self.store.job(key)
        if plan.status is None or job is None:
            return
        try:
            self.store.put_job(await self.api.apply_status(job, plan.status))
            self.metrics.status_written(job.get("status", {}), plan.status)
        except ApiError as error:
            if error.status != 404:
                raise
            self.store.drop_job(key)

    def _wake(self, key: Key, memory: Memory, plan: Plan) -> datetime | None:
        job = self.store.job(key)
        if job is None or condition_status(job.get("status", {}), "Succeeded") in ("True", "False"):
            return None
        now = self.clock()
        latest = now + timedelta(seconds=POLL_SECONDS if self._coordinator(key, memory) else RELIST_SECONDS)
        return min(latest, plan.wake or latest)
