"""What the watches have told: jobs and their pods. A mirror of the API server that may be late."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from gmeta_api.objects import JOB_LABEL

Key = tuple[str, str]
"""Namespace and name of a job."""

Resource = Mapping[str, Any]

REMEMBERED = 4096


class Store:
    """Jobs and pods by the job's key. Objects older than the ones that are known are passed over."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Resource] = {}
        self._pods: defaultdict[Key, dict[str, Resource]] = defaultdict(dict)
        self._gone: deque[str] = deque(maxlen=REMEMBERED)

    def job(self, key: Key) -> Resource | None:
        """The job, if it is known."""
        return self._jobs.get(key)

    def jobs(self) -> Iterable[Resource]:
        """All jobs."""
        return self._jobs.values()

    def pods(self, key: Key, owner: str) -> list[Resource]:
        """The pods of the job with that uid, by name; a deleted job of the same name may have left others."""
        return [pod for _, pod in sorted(self._pods[key].items()) if _owner(pod) == owner]

    def put_job(self, job: Resource) -> None:
        """Take over a job."""
        key = _key(job)
        if _is_newer(job, self._jobs.get(key)):
            self._jobs[key] = job

    def drop_job(self, key: Key) -> None:
        """Forget a job that is gone."""
        self._jobs.pop(key, None)

    def put_pod(self, pod: Resource) -> None:
        """Take over a pod, unless it is known to be gone."""
        pods = self._pods[pod_key(pod)]
        name = pod["metadata"]["name"]
        if pod["metadata"]["uid"] not in self._gone and _is_newer(pod, pods.get(name)):
            pods[name] = pod

    def drop_pod(self, pod: Resource) -> None:
        """Forget a pod that is gone; what is heard of it later is old."""
        self._gone.append(pod["metadata"]["uid"])
        pods, name = self._pods[pod_key(pod)], pod["metadata"]["name"]
        if name in pods and pods[name]["metadata"]["uid"] == pod["metadata"]["uid"]:
            del pods[name]
        if not pods:
            del self._pods[pod_key(pod)]

    def replace_pods(self, key: Key, pods: Iterable[Resource]) -> None:
        """Take over a complete list of a job's pods."""
        self._pods[key] = {pod["metadata"]["name"]: pod for pod in pods}


def pod_key(pod: Resource) -> Key:
    """The key of the job that a pod belongs to."""
    metadata = pod["metadata"]
    return metadata["namespace"], metadata["labels"][JOB_LABEL]


def _key(job: Resource) -> Key:
    return job["metadata"]["namespace"], job["metadata"]["name"]


def _owner(pod: Resource) -> str | None:
    owners = pod["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _is_newer(new: Resource, known: Resource | None) -> bool:
    """Whether an object is at least as new as the known one; versions compare as numbers only for the same object."""
    if known is None or known["metadata"]["uid"] != new["metadata"]["uid"]:
        return True
    return int(new["metadata"]["resourceVersion"]) >= int(known["metadata"]["resourceVersion"])
