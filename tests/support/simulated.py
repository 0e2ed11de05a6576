"""A small API server: what the operator needs of one, with crashes where a test wants them."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gmeta_api.objects import JOB_LABEL, ROLE_LABEL, Object, PodDefaults
from gmeta_operator.client import ApiError
from gmeta_operator.controller import Controller
from gmeta_operator.report import Report
from gmeta_operator.settings import Settings
from gmeta_operator.store import Resource, Store
from gmeta_operator.work_queue import WorkQueue

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = ("team", "movies")
SETTINGS = Settings(PodDefaults("worker:1"))


def manifest(**groups: Any) -> dict[str, Any]:
    spec = {
        "volumes": [{"name": "all", "emptyDir": {}}],
        "data": {"volume": "all", "path": "set"},
        "checkpoint": {"volume": "all", "path": "run"},
        **groups,
    }
    metadata = {"name": KEY[1], "namespace": KEY[0], "uid": "u-1", "generation": 1, "resourceVersion": "1"}
    return {"apiVersion": "gmeta.dev/v1alpha1", "kind": "MetaTrainingJob", "metadata": metadata, "spec": spec}


class Crash(BaseException):
    """The operator's process ends, here and now."""


class Server:
    """Holds one job and its children.

    Attributes:
        made: the names of all pods that were ever created, in order.
        status_writes: number of writes of the status.
        crash_at: moments until the operator crashes; each write has one before it and one after it.
        refuse: the message with which the creation of pods is refused, if it is.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.live: dict[str, dict[str, Any]] = {}
        self.applied: dict[tuple[str, str], Object] = {}
        self.events: dict[str, Object] = {}
        self.made: list[str] = []
        self.status_writes = 0
        self.crash_at: int | None = None
        self.refuse: str | None = None
        self._version = 1

    def set_pod(self, name: str, **status: Any) -> None:
        """The kubelet writes a pod's status."""
        pod = self.live[name]
        pod["status"] = status
        self._touch(pod)

    def end(self, name: str, code: int, now: datetime, message: str = "", reason: str = "Error") -> None:
        """A pod's container ends."""
        terminated = {"exitCode": code, "reason": reason, "message": message, "finishedAt": now.isoformat()}
        state = [{"ready": False, "state": {"terminated": terminated}}]
        self.set_pod(name, phase="Failed" if code else "Succeeded", containerStatuses=state)

    def start(self, name: str) -> None:
        """A pod's container starts."""
        self.set_pod(name, phase="Running", podIP="10.0.0.1", containerStatuses=[{"ready": True, "state": {}}])

    async def apply(self, thing: Object) -> Object:
        with self._write():
            self.applied[thing["kind"], thing["metadata"]["name"]] = thing
        return thing

    async def apply_status(self, job: Resource, status: Resource) -> Object:
        assert job["metadata"]["uid"] == self.job["metadata"]["uid"]
        with self._write():
            self.job["status"] = copy.deepcopy(dict(status))
            self.status_writes += 1
            self._touch(self.job)
        return copy.deepcopy(self.job)

    async def create(self, thing: Object) -> Object:
        kept = self.events if thing["kind"] == "Event" else self.live
        name = thing["metadata"]["name"]
        if name in kept:
            raise ApiError(409, f"{name} already exists")
        if self.refuse and thing["kind"] == "Pod":
            raise ApiError(403, self.refuse)
        with self._write():
            kept[name] = made = copy.deepcopy(thing)
            made["metadata"]["uid"] = f"{name}-{self._version}"
            made.setdefault("status", {"phase": "Pending"})
            self._touch(made)
            if kept is self.live:
                self.made.append(name)
        return copy.deepcopy(made)

    async def delete_pod(self, namespace: str, name: str) -> None:
        with self._write():
            self.live.pop(name, None)

    async def pods(self, namespace: str, selector: str) -> list[Object]:
        label, value = selector.split("=")
        assert label == JOB_LABEL
        return [copy.deepcopy(pod) for pod in self.live.values() if pod["metadata"]["labels"][label] == value]

    def running(self) -> list[tuple[str, str]]:
        """Role and name of the pods that have not ended."""
        live = (pod for pod in self.live.values() if pod["status"]["phase"] in ("Pending", "Running"))
        return sorted((pod["metadata"]["labels"][ROLE_LABEL], pod["metadata"]["name"]) for pod in live)

    def _touch(self, thing: dict[str, Any]) -> None:
        self._version += 1
        thing["metadata"]["resourceVersion"] = str(self._version)

    def _write(self) -> "_Write":
        return _Write(self)

    def crash_point(self) -> None:
        """One of the moments before and after each write."""
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                self.crash_at = None
                raise Crash


class _Write:
    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        self._server.crash_point()

    def __exit__(self, *_: object) -> None:
        self._server.crash_point()


class Process:
    """One life of the operator over a server: its store and memory go with it."""

    def __init__(self, server: Server, now: datetime = NOON) -> None:
        self.server = server
        self.now = now
        self.store = Store()
        self.report: Report | None = None
        self.controller = Controller(server, self.store, WorkQueue(), SETTINGS, self._ask, clock=lambda: self.now)
        self.hear()

    def hear(self) -> None:
        """The watches catch up."""
        self.store.put_job(copy.deepcopy(self.server.job))
        for pod in self.server.live.values():
            self.store.put_pod(copy.deepcopy(pod))
        for known in self.store.pods(KEY, "u-1"):
            if known["metadata"]["name"] not in self.server.live:
                self.store.drop_pod(known)

    async def sync(self, seconds: float = 0) -> dict[str, Any]:
        """Hear everything, then one pass; the status after it."""
        self.now += timedelta(seconds=seconds)
        self.hear()
        await self.controller.sync(KEY)
        status: dict[str, Any] = self.server.job.get("status", {})
        return status

    async def _ask(self, address: str) -> Report | None:
        return self.report


def conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
