"""The API server as the leader uses it: every write carries the leader's epoch, and whoever was replaced ends."""

from collections.abc import Mapping
from typing import Any, Protocol

from gmeta_api.objects import Object
from gmeta_api.spec import GROUP
from gmeta_operator.api_server import ApiServer
from gmeta_operator.store import Resource

EPOCH_ANNOTATION = f"{GROUP}/leader-epoch"
EPOCH_FIELD = "leaderEpoch"
"""In a job's status."""


class Fenced(Exception):  # noqa: N818  # not an error of this operator
    """Another operator leads, or may; this one has to end."""


class Leader(Protocol):
    """What a write needs to know of who leads."""

    @property
    def epoch(self) -> int:
        """Of this operator; that of whoever leads after it is higher."""

    def assert_leads(self) -> None:
        """Raises Fenced where this operator may not write any more."""

    async def confirm(self, epoch: int) -> None:
        """Raises Fenced where a higher epoch that was read means that another operator leads."""


class LeaderApi:
    """Passes requests on, each write with the epoch.

    Args:
        api: the API server.
        leader: this operator's leadership.
    """

    def __init__(self, api: ApiServer, leader: Leader) -> None:
        self._api = api
        self._leader = leader

    async def apply(self, thing: Object) -> Object:
        """Server-side apply."""
        self._leader.assert_leads()
        return await self._api.apply(self._signed(thing))

    async def apply_status(self, job: Resource, status: Resource) -> Object:
        """Server-side apply of a status, at the job's version."""
        await self._check(job)
        self._leader.assert_leads()
        return await self._api.apply_status(job, {**status, EPOCH_FIELD: self._leader.epoch})

    async def create(self, thing: Object) -> Object:
        """Create an object."""
        self._leader.assert_leads()
        return await self._api.create(self._signed(thing))

    async def delete(self, thing: Object) -> None:
        """Delete an object of that name, if there is one."""
        self._leader.assert_leads()
        await self._api.delete(thing)

    async def delete_pod(self, namespace: str, name: str, uid: str, *, force: bool = False) -> None:
        """Delete the pod with that uid; by force without waiting until its node says that it has ended."""
        self._leader.assert_leads()
        await self._api.delete_pod(namespace, name, uid, force=force)

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        """Delete the job with that uid; what belongs to it goes after it."""
        self._leader.assert_leads()
        await self._api.delete_job(namespace, name, uid)

    async def get_job(self, namespace: str, name: str) -> Object | None:
        """Get a job."""
        job = await self._api.get_job(namespace, name)
        if job is not None:
            await self._check(job)
        return job

    async def list_pods(self, namespace: str, selector: str) -> tuple[list[Object], int]:
        """List pods; the version of the list."""
        pods, version = await self._api.list_pods(namespace, selector)
        await self._check(*pods)
        return pods, version

    async def _check(self, *things: Resource) -> None:
        highest = max((epoch_of(thing) for thing in things), default=0)
        if highest > self._leader.epoch:
            await self._leader.confirm(highest)

    def _signed(self, thing: Object) -> Object:
        metadata = thing["metadata"]
        annotations = {**metadata.get("annotations", {}), EPOCH_ANNOTATION: str(self._leader.epoch)}
        return {**thing, "metadata": {**metadata, "annotations": annotations}}


def epoch_of(thing: Mapping[str, Any]) -> int:
    """The epoch of the leader that has written an object last; 0 where it tells of none."""
    annotation = thing["metadata"].get("annotations", {}).get(EPOCH_ANNOTATION, "")
    annotated = int(annotation) if annotation.isascii() and annotation.isdecimal() and len(annotation) < 11 else 0
    return max(annotated, thing.get("status", {}).get(EPOCH_FIELD) or 0)
