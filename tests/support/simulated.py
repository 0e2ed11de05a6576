"""A small API server for one job: what the operator needs of one, and what a cluster does to a job's pods."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from gmeta_api.objects import Object
from gmeta_operator.client import ApiError
from gmeta_operator.report import Report
from gmeta_operator.store import Resource
from gmeta_operator.timestamps import from_text, to_text

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = ("team", "movies")
GRACE = timedelta(seconds=30)

POINTS = (
    "apply ConfigMap",
    "apply Service",
    "apply NetworkPolicy",
    "apply Pod",
    "apply PodGroup",
    "create Pod",
    "create Event",
    "apply status",
    "delete Pod",
    "force Pod",
    "delete job",
    "delete PodGroup",
)
"""The writes of the operator."""

PREPARE = {
    "source": "ratings.csv",
    "task": ["user"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [{"name": "movie", "type": "categorical", "columns": ["movie"]}],
    "supportOrder": {"by": "seed"},
    "split": {"by": "task", "train": 0.8, "valid": 0.1, "test": 0.1},
}

Watcher = Callable[[str, Object], None]
Gate = Callable[[str, str], None]


def welcoming(point: str, when: str) -> None:
    """A gate that lets every request pass."""


def refusing(refused: str, message: str = "exceeded quota: team", status: int = 403) -> Gate:
    """A gate that refuses the requests of one name."""

    def gate(point: str, when: str) -> None:
        if (point, when) == (refused, "before"):
            raise ApiError(status, message)

    return gate


def manifest(**groups: Any) -> Object:
    spec = {
        "volumes": [{"name": "all", "emptyDir": {}}],
        "data": {"volume": "all", "path": "set"},
        "checkpoint": {"volume": "all", "path": "run"},
        **groups,
    }
    metadata = {"name": KEY[1], "namespace": KEY[0]}
    return {"apiVersion": "gmeta.dev/v1alpha1", "kind": "MetaTrainingJob", "metadata": metadata, "spec": spec}


class Server:
    """Holds one job and its children. Objects are never changed, but replaced by newer ones.

    Attributes:
        now: the time.
        job: the job; None once it is deleted.
        live: the pods by name.
        applied: what was applied, by kind and name.
        documents: by uid of a pod, the job document that it was given when it was made or changed last.
        events: recorded events by name.
        made: the names of all pods that were ever created, in order.
        status_writes: number of writes of the status.
        gate: passed before and after each request, by its name; what it raises happens to the operator.
        witness: is told of each write to pods, events and status, and of the removal of a PodGroup, that is about to
            take effect, with its object.
        watchers: are told of each change of the job and its pods.
        report: what the coordinator answers; None where it does not.
        committed: step of the newest commit of the job.
    """

    def __init__(self, job: Object) -> None:
        self.now = NOON
        self.live: dict[str, Object] = {}
        self.applied: dict[tuple[str, str], Object] = {}
        self.documents: dict[str, Object] = {}
        self.events: dict[str, Object] = {}
        self.made: list[str] = []
        self.status_writes = 0
        self.gate: Gate = welcoming
        self.witness: Callable[[str, Object], None] = lambda verb, thing: None
        self.watchers: list[Watcher] = []
        self.report: Report | None = None
        self.committed = 0
        self.version = 0
        self.job: Object | None = None
        self.submit(job)

    # The users and the cluster.

    def submit(self, job: Object) -> None:
        """A user makes the job."""
        made = {"uid": self._new_uid("job"), "generation": 1, "creationTimestamp": to_text(self.now)}
        self.job = self._kept({**job, "metadata": {**job["metadata"], **made}})
        self._tell("ADDED", self.job)

    def edit(self, **groups: Any) -> None:
        """A user changes groups of the spec."""
        assert self.job is not None
        metadata = {**self.job["metadata"], "generation": self.job["metadata"]["generation"] + 1}
        self.job = self._kept({**self.job, "metadata": metadata, "spec": {**self.job["spec"], **groups}})
        self._tell("MODIFIED", self.job)

    def withdraw(self) -> None:
        """A user deletes the job; its pods are the garbage collector's."""
        assert self.job is not None
        gone, self.job = self._kept(self.job), None
        self._tell("DELETED", gone)

    def collect_garbage(self) -> None:
        """Pods and a PodGroup without their job go."""
        uid = self.job["metadata"]["uid"] if self.job else None
        if self.pod_group is not None and owner(self.pod_group) != uid:
            del self.applied["PodGroup", KEY[1]]
        for name in [name for name, pod in self.live.items() if owner(pod) != uid]:
            self.remove(name)

    def set_pod(self, name: str, **status: Any) -> None:
        """The kubelet writes a pod's status."""
        pod = self.live[name]
        self.live[name] = self._kept({**pod, "status": status})
        self._tell("MODIFIED", self.live[name])

    def start(self, name: str) -> None:
        """A pod's container starts."""
        self.set_pod(name, phase="Running", podIP="10.0.0.1", containerStatuses=[{"ready": True, "state": {}}])

    def end(self, name: str, code: int, message: str = "", reason: str = "Error") -> None:
        """A pod's container ends."""
        terminated = {"exitCode": code, "reason": reason, "message": message, "finishedAt": to_text(self.now)}
        state = [{"ready": False, "state": {"terminated": terminated}}]
        self.set_pod(name, phase="Failed" if code else "Succeeded", containerStatuses=state)

    def evict(self, name: str) -> None:
        """The kubelet ends a pod without a word of its container."""
        change = {"type": "Ready", "status": "False", "lastTransitionTime": to_text(self.now)}
        self.set_pod(name, phase="Failed", reason="Evicted", conditions=[change])

    def stop(self, name: str) -> None:
        """Somebody deletes a pod: it has its grace period to end, and none if it has not begun or is over."""
        pod = self.live[name]
        if pod["status"]["phase"] != "Running":
            self.remove(name)
        elif "deletionTimestamp" not in pod["metadata"]:
            metadata = {**pod["metadata"], "deletionTimestamp": to_text(self.now + GRACE)}
            self.live[name] = self._kept({**pod, "metadata": metadata})
            self._tell("MODIFIED", self.live[name])

    def remove(self, name: str) -> None:
        """A pod is gone at once."""
        self._tell("DELETED", self._kept(self.live.pop(name)))

    def leave(self) -> None:
        """The kubelet removes what was told to end."""
        for name in [name for name, pod in self.live.items() if "deletionTimestamp" in pod["metadata"]]:
            self.remove(name)

    @property
    def pod_group(self) -> Object | None:
        """The job's PodGroup, if it is there."""
        return self.applied.get(("PodGroup", KEY[1]))

    def running(self) -> list[str]:
        """The pods that have neither ended nor been told to."""
        return sorted(name for name, pod in self.live.items() if not ended(pod) and leaves_by(pod) is None)

    # The API.

    async def apply(self, thing: Object) -> Object:
        with self._request(f"apply {thing['kind']}"):
            if thing["kind"] == "Pod":
                return self._annotate(thing["metadata"])
            self.applied[thing["kind"], thing["metadata"]["name"]] = thing
        return thing

    def _annotate(self, changes: Object) -> Object:
        pod = self.live.get(changes["name"])
        if pod is None or pod["metadata"]["uid"] != changes["uid"]:
            raise ApiError(409, "the uid does not match")
        annotations = {**pod["metadata"]["annotations"], **changes["annotations"]}
        made = self.live[changes["name"]] = self._kept(
            {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}
        )
        self._give_document(made)
        self._tell("MODIFIED", made)
        return made

    def _give_document(self, pod: Object) -> None:
        """The kubelet brings what is in the ConfigMap now."""
        (name,) = (each["configMap"]["name"] for each in pod["spec"]["volumes"] if "configMap" in each)
        self.documents[pod["metadata"]["uid"]] = json.loads(self.applied["ConfigMap", name]["data"]["job.json"])

    async def apply_status(self, job: Resource, status: Resource) -> Object:
        with self._request("apply status"):
            if self.job is None:
                raise ApiError(404, "the job is not found")
            if job["metadata"]["resourceVersion"] != self.job["metadata"]["resourceVersion"]:
                raise ApiError(409, "the object has been modified")
            self.witness("status", dict(status))
            self.status_writes += 1
            self.job = self._kept({**self.job, "status": dict(status)})
            self._tell("MODIFIED", self.job)
        return self.job

    async def create(self, thing: Object) -> Object:
        kept = self.events if thing["kind"] == "Event" else self.live
        name = thing["metadata"]["name"]
        with self._request(f"create {thing['kind']}"):
            if name in kept:
                raise ApiError(409, f"{name} already exists")
            self.witness(thing["kind"], thing)
            metadata = {**thing["metadata"], "uid": self._new_uid(name), "creationTimestamp": to_text(self.now)}
            made = kept[name] = self._kept({**thing, "metadata": metadata, "status": {"phase": "Pending"}})
            if kept is self.live:
                self.made.append(name)
                self._give_document(made)
                self._tell("ADDED", made)
        return made

    async def delete(self, thing: Object) -> None:
        with self._request(f"delete {thing['kind']}"):
            place = thing["kind"], thing["metadata"]["name"]
            if place in self.applied:
                self.witness(f"delete {thing['kind']}", self.applied[place])
                del self.applied[place]

    async def delete_pod(self, namespace: str, name: str, uid: str | None, *, force: bool = False) -> None:
        with self._request("force Pod" if force else "delete Pod"):
            if name not in self.live:
                raise ApiError(404, f"{name} is not found")
            if uid not in (None, self.live[name]["metadata"]["uid"]):
                raise ApiError(409, "the uid in the precondition does not match")
            self.witness("force" if force else "delete", self.live[name])
            if force:
                self.remove(name)
            else:
                self.stop(name)

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        with self._request("delete job"):
            if self.job is None:
                raise ApiError(404, "the job is not found")
            if uid != self.job["metadata"]["uid"]:
                raise ApiError(409, "the uid in the precondition does not match")
            self.witness("expire", self.job)
            self.withdraw()

    async def get_job(self, namespace: str, name: str) -> Object | None:
        with self._request("get job"):
            return self.job

    async def list_pods(self, namespace: str, selector: str) -> tuple[list[Object], int]:
        label, value = selector.split("=")
        with self._request("list Pods"):
            found = [pod for pod in self.live.values() if pod["metadata"]["labels"][label] == value]
            return found, self.version

    @contextmanager
    def _request(self, point: str) -> Iterator[None]:
        self.gate(point, "before")
        yield
        self.gate(point, "after")

    def _new_uid(self, name: str) -> str:
        return f"{name}-{self.version}"

    def _kept(self, thing: Object) -> Object:
        self.version += 1
        return {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}

    def _tell(self, kind: str, thing: Object) -> None:
        for watcher in self.watchers:
            watcher(kind, thing)


def ended(pod: Object) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def leaves_by(pod: Object) -> datetime | None:
    return from_text(pod["metadata"].get("deletionTimestamp"))


def owner(pod: Object) -> str:
    uid: str = pod["metadata"]["ownerReferences"][0]["uid"]
    return uid


def conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
