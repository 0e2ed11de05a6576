"""What a pass over a job needs of the API server."""

from typing import Protocol

from gmeta_api.objects import Object
from gmeta_operator.store import Resource


class ApiServer(Protocol):
    """The requests of a pass. Each raises ApiError where it is refused or not answered."""

    async def apply(self, thing: Object) -> Object:
        """Server-side apply."""

    async def apply_status(self, job: Resource, status: Resource) -> Object:
        """Server-side apply of a status, at the job's version."""

    async def create(self, thing: Object) -> Object:
        """Create an object."""

    async def delete_pod(self, namespace: str, name: str, uid: str, *, force: bool = False) -> None:
        """Delete the pod with that uid; by force without waiting until its node says that it has ended."""

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        """Delete the job with that uid; what belongs to it goes after it."""

    async def delete(self, thing: Object) -> None:
        """Delete an object of that name, if there is one."""

    async def get_job(self, namespace: str, name: str) -> Object | None:
        """Get a job."""

    async def list_pods(self, namespace: str, selector: str) -> tuple[list[Object], int]:
        """List pods; the version of the list."""
