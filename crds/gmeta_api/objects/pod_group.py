"""The PodGroup of a job: what tells Volcano and coscheduling that its pods are placed together or not at all."""

from collections.abc import Mapping
from typing import Any

from gmeta_api.objects.names import Object, metadata
from gmeta_api.quantities import total_resources
from gmeta_api.spec import MetaTrainingJob, ResourcesSpec

KIND = "PodGroup"
API_VERSIONS = {"volcano": "scheduling.volcano.sh/v1beta1", "coscheduling": "scheduling.x-k8s.io/v1alpha1"}
"""Of the PodGroups, by gang scheduler; the others have none."""


def pod_group(job: MetaTrainingJob) -> Object | None:
    """The PodGroup of a job whose gang scheduler has such.

    It is one for all attempts, so a pod that takes the place of another joins a group that is placed already. Its
    least number of members is what training can begin with: the coordinator and the fewest workers.
    """
    scheduling = job.spec.scheduling
    api_version = API_VERSIONS.get(scheduling.gang.scheduler)
    if api_version is None:
        return None
    workers = job.spec.workers.min_replicas or job.spec.workers.replicas
    resources = ((1, _requests(job.spec.coordinator.resources)), (workers, _requests(job.spec.workers.resources)))
    of_volcano = {"queue": scheduling.queue, "priorityClassName": scheduling.priority_class_name}
    of_coscheduling = {"scheduleTimeoutSeconds": scheduling.gang.timeout_seconds}
    own = of_volcano if scheduling.gang.scheduler == "volcano" else of_coscheduling
    optional = {"minResources": total_resources(resources), **own}
    return {
        "apiVersion": api_version,
        "kind": KIND,
        "metadata": metadata(job, job.metadata.name),
        "spec": {"minMember": 1 + workers, **{name: value for name, value in optional.items() if value}},
    }


def pod_group_reference(job: Mapping[str, Any]) -> Object | None:
    """Which object the PodGroup of a custom resource is, if its gang scheduler has such."""
    gang = job["spec"].get("scheduling", {}).get("gang", {})
    api_version = API_VERSIONS.get(gang.get("scheduler"))
    if api_version is None:
        return None
    place = {name: job["metadata"][name] for name in ("name", "namespace")}
    return {"apiVersion": api_version, "kind": KIND, "metadata": place}


def _requests(resources: ResourcesSpec) -> dict[str, str]:
    """What Kubernetes takes for the requests: a limit is one too, where no request says otherwise."""
    return {**resources.limits, **resources.requests}
