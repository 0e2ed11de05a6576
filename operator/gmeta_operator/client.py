"""The operator's own requests to the API server: server-side apply, create, delete, list."""

import json
import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import kopf

from gmeta_api.crd import PLURAL
from gmeta_api.objects import Object
from gmeta_api.spec import API_VERSION, KIND

FIELD_MANAGER = "gmeta-operator"
TIMEOUT = aiohttp.ClientTimeout(total=30.0)
RESOURCES = {
    "ConfigMap": "configmaps",
    "Event": "events",
    "Lease": "leases",
    "NetworkPolicy": "networkpolicies",
    "Pod": "pods",
    "PodGroup": "podgroups",
    "Service": "services",
    KIND: PLURAL,
}
APPLY = "application/apply-patch+yaml"  # JSON is YAML
MERGE = "application/merge-patch+json"

METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
PAGE = 100
"""Objects of a list that are asked for at once: with their bookkeeping, each takes some 50 KiB while it is read."""

VERBS = {"PATCH": "apply", "POST": "create", "DELETE": "delete"}

Login = Callable[[], kopf.ConnectionInfo]
Told = Callable[[str, str, int], None]
"""Is told the verb, resource and status code of each request; code 0: there was no answer."""


class Version(NamedTuple):
    """A version of an object."""

    name: str
    version: int


class ApiError(Exception):
    """The API server has refused a request, or cannot be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A client of the API server. Every write is made under one field manager, and making it twice is making it once.

    Args:
        login: gives address and credentials; asked again when they are refused, since tokens expire.
        requested: is told of each request.
    """

    def __init__(self, login: Login, requested: Told) -> None:
        self._login = login
        self._requested = requested
        self._session: aiohttp.ClientSession | None = None
        self._connection = login()
        self._tls: ssl.SSLContext = self._connection.as_ssl_context()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def apply(self, thing: Object) -> Object:
        """Server-side apply of an object; fields of other managers stay."""
        return await self._request("PATCH", _path(thing, named=True), thing, {"force": "true"}, APPLY)

    async def apply_status(self, job: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        """Server-side apply of a whole status; refused with 409 if the job is not at that version any more."""
        metadata = {name: job["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        thing = {"apiVersion": job["apiVersion"], "kind": job["kind"], "metadata": metadata, "status": dict(status)}
        return await self._request("PATCH", f"{_path(thing, named=True)}/status", thing, {"force": "true"}, APPLY)

    async def create(self, thing: Object) -> Object:
        """Create an object; refused with 409 if there is one of its name."""
        return await self._request("POST", _path(thing), thing)

    async def delete(self, thing: Object) -> None:
        """Delete an object; it is well if there is none of its name."""
        try:
            await self._request("DELETE", _path(thing, named=True))
        except ApiError as error:
            if error.status != 404:
                raise

    async def delete_pod(self, namespace: str, name: str, uid: str, *, force: bool = False) -> None:
        """Ask a pod to end and go, by force go at once; refused with 409 if there is another one of its name."""
        thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name}}
        await self._delete(thing, uid, {"gracePeriodSeconds": 0} if force else {})

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        """Delete a job, and what belongs to it afterwards; refused with 409 if there is another one of its name."""
        thing = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"namespace": namespace, "name": name}}
        await self._delete(thing, uid, {"propagationPolicy": "Background"})

    async def _delete(self, thing: Object, uid: str, options: Object) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}, **options}
        await self._request("DELETE", _path(thing, named=True), body)

    async def get_job(self, namespace: str, name: str) -> Object | None:
        """A job; None if there is none."""
        return await self._get(API_VERSION, KIND, namespace, name)

    async def get_lease(self, namespace: str, name: str) -> Object | None:
        """A Lease; None if there is none."""
        return await self._get("coordination.k8s.io/v1", "Lease", namespace, name)

    async def patch_lease(self, thing: Object) -> Object:
        """Merge changes into a Lease; refused with 409 if it is not at the version named any more."""
        return await self._request("PATCH", _path(thing, named=True), thing, content_type=MERGE)

    async def list_pods(self, namespace: str, selector: str) -> tuple[list[Object], int]:
        """The pods that a label selector selects, and the version that the list is of."""
        thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace}}
        found = await self._request("GET", _path(thing), params={"labelSelector": selector})
        pods = [{"apiVersion": "v1", "kind": "Pod", **item} for item in _items(found)]
        return pods, int(found["metadata"]["resourceVersion"])

    async def list_versions(self, kind: str, namespace: str | None, selector: str) -> dict[str, Version]:
        """The versions of all objects of a kind, in a namespace or everywhere; page by page, and metadata only."""
        thing = {
            "apiVersion": API_VERSION if kind == KIND else "v1",
            "kind": kind,
            "metadata": {"namespace": namespace},
        }
        versions: dict[str, Version] = {}
        more = ""
        while True:
            params = {"labelSelector": selector, "limit": str(PAGE), "continue": more}
            found = await self._request("GET", _path(thing), params=params, accept=METADATA)
            each = (item["metadata"] for item in _items(found))
            versions |= {one["uid"]: Version(one["name"], int(one["resourceVersion"])) for one in each}
            more = found["metadata"].get("continue", "")
            if not more:
                return versions

    async def _get(self, version: str, kind: str, namespace: str, name: str) -> Object | None:
        thing = {"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name}}
        try:
            return await self._request("GET", _path(thing, named=True))
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def _request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        manager = {} if method in ("GET", "DELETE") else {"fieldManager": FIELD_MANAGER}
        query = {**manager, **(params or {})}
        kinds = {"Content-Type": content_type, "Accept": accept}
        try:
            return await self._send(method, path, body, query, kinds)
        except ApiError as error:
            if error.status != 401:
                raise
        self._connection = self._login()
        self._tls = self._connection.as_ssl_context()
        return await self._send(method, path, body, query, kinds)

    async def _send(
        self, method: str, path: str, body: Object | None, query: Mapping[str, str], kinds: Mapping[str, str]
    ) -> Object:
        assert self._session is not None, "the client is used in its `async with` block"
        headers = {**self._connection.as_http_headers(), **kinds}
        url = self._connection.server.rstrip("/") + path
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(
                method, url, data=data, params=query, headers=headers, ssl=self._tls
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._requested(*verb_and_resource(method, path), 0)
            raise ApiError(0, f"{method} {path}: {error or type(error).__name__}") from error
        self._requested(*verb_and_resource(method, path), response.status)
        if not response.ok:
            raise ApiError(response.status, f"{method} {path}: {_message(text)}")
        answer: Object = json.loads(text)
        return answer


def verb_and_resource(method: str, path: str) -> tuple[str, str]:
    """What a request does, as the roles of a cluster name it: verb, and resource with its subresource if any."""
    if "/namespaces/" not in path:
        return "list", path.rpartition("/")[2]
    resource, *name = path.split("/namespaces/", 1)[1].split("/")[1:]
    verb = VERBS.get(method) or ("get" if name else "list")
    return verb, "/".join([resource, *name[1:]])


def _items(found: Object) -> list[Object]:
    """What is in a list; a server may send null for nothing."""
    return found["items"] or []


def _path(thing: Mapping[str, Any], *, named: bool = False) -> str:
    version, metadata = thing["apiVersion"], thing["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if metadata["namespace"] is not None else ""
    path = f"{root}{scope}/{RESOURCES[thing['kind']]}"
    return f"{path}/{metadata['name']}" if named else path


def _message(text: str) -> str:
    """What a refusal says."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
