"""What the watches have told: jobs and their pods. A mirror of the API server that may be late, but never goes back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from gmeta_api.objects import JOB_LABEL
from gmeta_operator.essence import job_essence, pod_essence

Key = tuple[str, str]
"""Namespace and name of a job."""

Resource = Mapping[str, Any]

REMEMBERED = 4096
"""Deleted objects that are remembered: an answer or an event that tells of one of them is late."""


class Store:
    """Jobs and pods by the job's key. Objects older than the ones that are known are passed over."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Resource] = {}
        self._pods: defaultdict[Key, dict[str, Resource]] = defaultdict(dict)
        self._gone: dict[str, None] = {}
        self._avoiding: dict[Key, list[Resource]] = {}

    def job(self, key: Key) -> Resource | None:
        """The job, if it is known."""
        return self._jobs.get(key)

    def jobs(self) -> Iterable[Resource]:
        """All jobs."""
        return self._jobs.values()

    def avoided_nodes(self) -> Iterable[Resource]:
        """What the jobs' statuses hold against nodes."""
        return chain.from_iterable(self._avoiding.values())

    def pods(self, key: Key, owner: str) -> list[Resource]:
        """The pods of the job with that uid, by name; a deleted job of the same name may have left others."""
        return [pod for _, pod in sorted(self._pods.get(key, {}).items()) if owner_uid(pod) == owner]

    def orphans(self, key: Key, owner: str | None) -> list[Resource]:
        """The pods under that key that are of another job than the one with that uid."""
        return [pod for pod in self._pods.get(key, {}).values() if owner_uid(pod) != owner]

    def hear_job(self, event: str | None, job: Resource) -> Key:
        """Take in an event of the jobs' watch; the key of the job."""
        key = _job_key(job)
        if event == "DELETED":
            self.drop_job(key, uid(job))
        else:
            self.put_job(job)
        return key

    def hear_pod(self, event: str | None, pod: Resource) -> Key:
        """Take in an event of the pods' watch; the key of the pod's job."""
        key = _pod_key(pod)
        if event == "DELETED":
            self.drop_pod(key, uid(pod))
        else:
            self.put_pod(pod)
        return key

    def put_job(self, job: Resource) -> None:
        """Take over a job, unless it is known to be gone."""
        key = _job_key(job)
        if self._is_news(job, self._jobs.get(key)):
            self._jobs[key] = job = job_essence(job)
            self._avoiding.pop(key, None)
            if avoided := job.get("status", {}).get("avoidedNodes"):
                self._avoiding[key] = avoided

    def put_pod(self, pod: Resource) -> None:
        """Take over a pod, unless it is known to be gone."""
        pods, name = self._pods[_pod_key(pod)], pod["metadata"]["name"]
        if self._is_news(pod, pods.get(name)):
            pods[name] = pod_essence(pod)

    def drop_job(self, key: Key, uid_: str) -> None:
        """Forget a job that is gone; another one of its name stays."""
        self._forget(uid_)
        if key in self._jobs and uid(self._jobs[key]) == uid_:
            del self._jobs[key]
            self._avoiding.pop(key, None)

    def drop_pod(self, key: Key, uid_: str) -> None:
        """Forget a pod that is gone; another one of its name stays."""
        self._forget(uid_)
        left = {name: pod for name, pod in self._pods.pop(key, {}).items() if uid(pod) != uid_}
        if left:
            self._pods[key] = left

    def take_list(self, key: Key, pods: Iterable[Resource], version: int) -> None:
        """Take in a complete list of a job's pods, as of a version; what is known to be newer stays."""
        listed = {uid(pod): pod for pod in pods}
        for pod in list(self._pods.get(key, {}).values()):
            if uid(pod) not in listed and _version(pod) <= version:
                self.drop_pod(key, uid(pod))
        for pod in listed.values():
            self.put_pod(pod)

    def _is_news(self, found: Resource, known: Resource | None) -> bool:
        """Whether an object is there and at least as new as the one that is known under its name.

        All versions of a kind come from one counter, so those of two objects can be compared.
        """
        return uid(found) not in self._gone and (known is None or _version(found) >= _version(known))

    def _forget(self, uid_: str) -> None:
        self._gone[uid_] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]


def uid(thing: Resource) -> str:
    """What tells an object from others that have had or will have its name."""
    found: str = thing["metadata"]["uid"]
    return found


def _version(thing: Resource) -> int:
    return int(thing["metadata"]["resourceVersion"])


def _job_key(job: Resource) -> Key:
    return job["metadata"]["namespace"], job["metadata"]["name"]


def _pod_key(pod: Resource) -> Key:
    metadata = pod["metadata"]
    return metadata["namespace"], metadata["labels"][JOB_LABEL]


def owner_uid(pod: Resource) -> str:
    """The uid of the job that a pod belongs to; empty where there is none."""
    owners = pod["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")
