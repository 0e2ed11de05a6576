"""Writing a plan: children first, then the status that tells of them, then what may go once that is told."""

import logging
from dataclasses import dataclass

from gmeta_api.objects import Object
from gmeta_operator.api_server import ApiServer
from gmeta_operator.client import ApiError
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.reconcile import Plan
from gmeta_operator.store import Store, uid

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
            await self.api.apply(thing)
        if plan.touch is not None:
            self.store.put_pod(await self.api.apply(plan.touch))
        for pod in plan.creates:
            self.store.put_pod(await self.api.create(pod))

    async def tell(self, plan: Plan) -> None:
        """Record the events, write the status, delete pods, and the job where its time is over.

        Raises:
            ApiError: a write was refused, and those after it are not tried.
        """
        for event in plan.events:
            await self._record(event)
        if plan.status is not None:
            self.store.put_job(await self.api.apply_status(plan.job, plan.status))
            self.metrics.status_written(plan.job.get("status", {}), plan.status)
        namespace = plan.job["metadata"]["namespace"]
        for pod in plan.deletes:
            await self.api.delete_pod(namespace, pod.name, pod.uid)
        for pod in plan.forced:
            await self.api.delete_pod(namespace, pod.name, pod.uid, force=True)
        if plan.expired:
            await self.api.delete_job(namespace, plan.job["metadata"]["name"], uid(plan.job))

    async def _record(self, event: Object) -> None:
        """Record an event; one that is there already has been recorded before a crash."""
        try:
            await self.api.create(event)
        except ApiError as error:
            if error.status != 409:
                log.warning("no event: %s", error)
