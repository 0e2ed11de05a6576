"""Writing a plan: children first, then the status that tells of them, then what may go once that is told."""

import logging
from dataclasses import dataclass
from itertools import groupby

from gmeta_api.objects import Object
from gmeta_operator.api_server import ApiServer
from gmeta_operator.client import ApiError
from gmeta_operator.gangs import release, releases
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.pods import PodFacts, pod_facts
from gmeta_operator.reconcile import Plan
from gmeta_operator.store import Key, Resource, Store, owner_uid, uid
from gmeta_operator.trouble import explained

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Writer:
    """Writes plans to the API server, and what that answers into the store.

    Attributes:
        api: where writes go.
        store: what is known.
        metrics: what is counted.
    """

    api: ApiServer
    store: Store
    metrics: OperatorMetrics

    async def make(self, plan: Plan) -> None:
        """Make the children of a plan, in their order.

        Raises:
            ApiError: one was refused, and those after it are not tried. A pod of that name (409) is none of this plan.
        """
        for thing in plan.applies:
            await self._apply(thing)
        if plan.touch is not None:
            self.store.put_pod(await self.api.apply(plan.touch))
        for pod in plan.creates:
            self.store.put_pod(await self.api.create(pod))

    async def tell(self, plan: Plan) -> None:
        """Record the events, write the status, delete pods and the PodGroup, and the job where its time is over.

        Raises:
            ApiError: a write was refused, and those after it are not tried.
        """
        for event in plan.events:
            await self._record(event)
        if plan.status is not None:
            self.store.put_job(await self.api.apply_status(plan.job, plan.status))
            self.metrics.status_written(plan.job.get("status", {}), plan.status)
        namespace = plan.job["metadata"]["namespace"]
        for pod in plan.releases:
            await self._release(pod, namespace)
        for pod in plan.deletes:
            await self.api.delete_pod(namespace, pod.name, pod.uid)
        for pod in plan.forced:
            await self.api.delete_pod(namespace, pod.name, pod.uid, force=True)
        if plan.removes is not None:
            await self.api.delete(plan.removes)
        if plan.expired:
            await self.api.delete_job(namespace, plan.job["metadata"]["name"], uid(plan.job))

    async def release_orphans(self, key: Key, pods: list[Resource]) -> None:
        """Let Kueue end the groups of pods whose job is gone: else it keeps them, and with them their names.

        Raises:
            ApiError: a request has failed.
        """
        by_owner = groupby(sorted(pods, key=owner_uid), key=owner_uid)
        for pod in [pod for _, group in by_owner for pod in releases(map(pod_facts, group), from_attempt=None)]:
            try:
                await self._release(pod, key[0])
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
                self.store.drop_pod(key, pod.uid)  # it was gone, unheard

    async def _apply(self, thing: Object) -> None:
        try:
            await self.api.apply(thing)
        except ApiError as error:
            raise explained(error, thing) from error

    async def _release(self, pod: PodFacts, namespace: str) -> None:
        self.store.put_pod(await self.api.apply(release(pod, namespace)))

    async def _record(self, event: Object) -> None:
        """Record an event; one that is there already has been recorded before a crash."""
        try:
            await self.api.create(event)
        except ApiError as error:
            if error.status != 409:
                log.warning("no event: %s", error)
