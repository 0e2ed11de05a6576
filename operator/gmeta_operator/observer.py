"""Observing a job: what the watches have told, checked against the API server where a mistake would cost a pod."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from gmeta_api.objects import JOB_LABEL, ROLE_LABEL
from gmeta_operator.api_server import ApiServer
from gmeta_operator.nodes import nodes_to_avoid
from gmeta_operator.pods import COORDINATOR, PodFacts, pod_facts
from gmeta_operator.poller import Poller
from gmeta_operator.reconcile import Observed
from gmeta_operator.store import Key, Resource, Store, uid
from gmeta_operator.trouble import Trouble

RELIST_SECONDS = 300.0
"""How long a missed event may go unnoticed."""


@dataclass
class Memory:
    """What the operator remembers of a job between two passes; losing it costs a request or two.

    Attributes:
        uid: of the job.
        read: when the job and its pods were read from the API server last.
        seen: monotonic time at which a new job was first heard of, until its first pods are made.
        group_gone: the manifest's generation for which its PodGroup was removed.
    """

    uid: str
    read: datetime | None = None
    seen: float | None = None
    group_gone: int | None = None


@dataclass(frozen=True)
class Observer:
    """Observes jobs.

    Attributes:
        api: what is so.
        store: what the watches have told.
        poller: what the coordinators have said.
        clock: the time.
    """

    api: ApiServer
    store: Store
    poller: Poller
    clock: Callable[[], datetime]

    async def catch_up(self, key: Key, memory: Memory) -> bool:
        """Read a job at first sight and from time to time, since a missed event would be missed for ever.

        Returns:
            Whether it was read just now.
        """
        due = memory.read is None or (self.clock() - memory.read).total_seconds() >= RELIST_SECONDS
        if due:
            await self.read(key, memory)
        return due

    async def read(self, key: Key, memory: Memory) -> None:
        """Read a job and its pods from the API server.

        The pods come first: what is known of a pod is in the job's status before the pod is deleted.
        """
        pods, version = await self.api.list_pods(key[0], f"{JOB_LABEL}={key[1]}")
        job = await self.api.get_job(*key)
        self.store.take_list(key, pods, version)
        if job is None:
            self.store.drop_job(key, memory.uid)
        else:
            self.store.put_job(job)
        memory.read = self.clock()

    def aim(self, key: Key, memory: Memory) -> None:
        """Have the coordinator asked from now on, if there is one."""
        self.poller.aim(key, memory.uid, coordinator_address(self.store.pods(key, memory.uid)))

    def observe(self, key: Key, memory: Memory, trouble: Trouble | None = None) -> Observed | None:
        """What is known of a job; None if it is gone or going, or another one has its name."""
        job = self.store.job(key)
        if job is None or uid(job) != memory.uid or "deletionTimestamp" in job["metadata"]:
            return None
        avoid = nodes_to_avoid(self.store.avoided_nodes(), self.clock())
        gone = memory.group_gone == job["metadata"].get("generation", 0)
        report = self.poller.report(key, memory.uid)
        return Observed(job, self._pods(key, memory), report, trouble, avoid, gone)

    def _pods(self, key: Key, memory: Memory) -> tuple[PodFacts, ...]:
        return tuple(pod_facts(pod) for pod in self.store.pods(key, memory.uid))


def coordinator_address(pods: Iterable[Resource]) -> str | None:
    """Where the coordinator among a job's pods can be asked, if it can."""
    found = [pod_facts(pod) for pod in pods if pod["metadata"]["labels"][ROLE_LABEL] == COORDINATOR[0]]
    asked = max((pod for pod in found if pod.ready and not pod.ended), key=lambda pod: pod.number, default=None)
    return asked.address if asked is not None else None
