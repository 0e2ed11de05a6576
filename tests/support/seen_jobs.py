"""Jobs and pods as an API server shows them, made by G-Meta's own code from a manifest."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from rule_cases import SMALL_MANIFEST

from gmeta_api.load import parse_job
from gmeta_api.objects import Incarnation, PodDefaults, cluster_plan, pod
from gmeta_api.settings import apply_settings
from gmeta_api.status import RestartCounts

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Resource = dict[str, Any]


def ago(seconds: float) -> str:
    """A moment before NOW as Kubernetes writes it."""
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def seen_job(*settings: str, status: Resource | None = None, name: str = "movies") -> Resource:
    """A job as `kubectl get -o json` prints it."""
    manifest = apply_settings(SMALL_MANIFEST, [f"metadata.name={name}", "metadata.namespace=team-a", *settings])
    job = deepcopy(manifest)
    job["metadata"] |= {"creationTimestamp": ago(600), "uid": "4f1d", "resourceVersion": "12", "generation": 1}
    return job if status is None else {**job, "status": status}


def seen_pods(job: Resource, restarts: int = 0, **status: Any) -> list[Resource]:
    """All pods of a job, with one status."""
    checked = parse_job(job)
    plan = cluster_plan(checked, 0)
    incarnation = Incarnation(0, RestartCounts(counted=restarts), 1)
    made = [pod(checked, process, incarnation, PodDefaults("worker:1")) for process in plan.processes]
    for each in made:
        each["metadata"]["creationTimestamp"] = ago(300)
        each["status"] = deepcopy(status)
    return made


def running() -> Resource:
    """The status of a pod that does its work."""
    return {"phase": "Running", "containerStatuses": [{"ready": True, "state": {"running": {}}}]}


def condition(kind: str, status: str, reason: str, message: str) -> Resource:
    """A condition of a job."""
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**found, "lastTransitionTime": ago(60), "observedGeneration": 1}


def listed(*things: Resource) -> Resource:
    """A list as kubectl prints it."""
    return {"apiVersion": "v1", "kind": "List", "items": list(things)}
