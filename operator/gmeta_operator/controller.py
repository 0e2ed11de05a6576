"""From the work queue to the API server: observe, reconcile, write."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gmeta_api.spec.run_policy import CONTROLLER
from gmeta_operator.api_server import ApiServer
from gmeta_operator.client import ApiError
from gmeta_operator.history import has_ended
from gmeta_operator.leader_api import Fenced
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.observer import RELIST_SECONDS, Memory, Observer
from gmeta_operator.poller import Poller
from gmeta_operator.reconcile import Plan, reconcile
from gmeta_operator.settings import Settings
from gmeta_operator.store import Key, Resource, Store, uid
from gmeta_operator.trouble import Trouble, trouble_of
from gmeta_operator.work_queue import WorkQueue
from gmeta_operator.writer import Writer

CONCURRENCY = 8

log = logging.getLogger(__name__)


@dataclass
class Controller:
    """Works on jobs as the queue gives them.

    Attributes:
        api: where writes go.
        store: what the watches have told.
        queue: which job is next.
        settings: the operator's settings.
        poller: asks the coordinators.
        metrics: what is counted of it.
        clock: the time.
    """

    api: ApiServer
    store: Store
    queue: WorkQueue
    settings: Settings
    poller: Poller
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _memories: dict[Key, Memory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._observer = Observer(self.api, self.store, self.poller, self.clock)
        self._writer = Writer(self.api, self.store, self.metrics)

    async def run(self) -> None:
        """Work for ever.

        Raises:
            ExceptionGroup: another operator leads (Fenced).
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                with self.metrics.reconciling(time.monotonic() - self.queue.added(key)):
                    wake = await self.sync(key)
            except Fenced:
                raise
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
            ApiError: a request has failed; where that was the creation of a child, the status says so.
        """
        job = self.store.job(key)
        await self._writer.release_orphans(key, self.store.orphans(key, _working(job)))
        if job is None or "deletionTimestamp" in job["metadata"] or not _is_ours(job):
            self._memories.pop(key, None)
            self.poller.forget(key)
            return None
        memory = self._memory(key, job)
        try:
            return await self._pass(key, memory)
        except ApiError:
            memory.read = None  # what was refused shows that the store is behind, and what was not answered may be done
            raise

    def _memory(self, key: Key, job: Resource) -> Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid(job):
            new = self.queue.added(key) if not job.get("status") else None
            memory = self._memories[key] = Memory(uid(job), seen=new)
        return memory

    async def _pass(self, key: Key, memory: Memory) -> datetime | None:
        fresh = await self._observer.catch_up(key, memory)
        self._observer.aim(key, memory)
        plan = self._plan(key, memory)
        if plan is not None and plan.is_grave and not fresh:
            # The watches may be late: nothing is made or deleted for what is over.
            await self._observer.read(key, memory)
            plan = self._plan(key, memory)
        if plan is not None:
            await self._carry_out(key, memory, plan)
        return self._wake(key, plan)

    def _plan(self, key: Key, memory: Memory, trouble: Trouble | None = None) -> Plan | None:
        observed = self._observer.observe(key, memory, trouble)
        return None if observed is None else reconcile(observed, self.settings, self.clock())

    async def _carry_out(self, key: Key, memory: Memory, plan: Plan) -> None:
        try:
            await self._writer.make(plan)
        except ApiError as error:
            told = self._plan(key, memory, trouble_of(error))
            if told is not None:
                await self._writer.tell(told)
            raise
        self._time_first_pods(memory, plan)
        await self._writer.tell(plan)
        if plan.removes is not None:
            memory.group_gone = plan.job["metadata"].get("generation", 0)

    def _time_first_pods(self, memory: Memory, plan: Plan) -> None:
        if plan.creates and memory.seen is not None:
            self.metrics.pods_created(time.monotonic() - memory.seen)
        memory.seen = None

    def _wake(self, key: Key, plan: Plan | None) -> datetime | None:
        job, now = self.store.job(key), self.clock()
        if job is None:
            return None
        if plan is None:
            return now  # it has gone during the pass; there may be another one of its name
        if has_ended(job.get("status", {})):
            return plan.wake
        latest = now + timedelta(seconds=RELIST_SECONDS)
        return min(latest, plan.wake or latest)


def _is_ours(job: Resource) -> bool:
    """Whether the job names no other controller that serves it."""
    policy = job["spec"].get("runPolicy", {})
    return policy.get("managedBy") in (None, CONTROLLER)


def _working(job: Resource | None) -> str | None:
    """The uid of a job whose pods are its own to care for."""
    return None if job is None or "deletionTimestamp" in job["metadata"] else uid(job)
