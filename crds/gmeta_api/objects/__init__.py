"""From a manifest to the Kubernetes objects of its processes, as plain JSON values. Pure: no client, no cluster."""

from collections.abc import Sequence

from gmeta_api.objects.names import (
    ATTEMPT_LABEL,
    COORDINATOR_PORT,
    COUNTED_ANNOTATION,
    FUTILE_ANNOTATION,
    GENERATION_ANNOTATION,
    INCARNATION_LABEL,
    INDEX_LABEL,
    JOB_FILE,
    JOB_FOLDER,
    JOB_LABEL,
    METRICS_PORT,
    ROLE_LABEL,
    STEP_ANNOTATION,
    UNCOUNTED_ANNOTATION,
    VOLUMES_FOLDER,
    Object,
    service_host,
    worker_selector,
)
from gmeta_api.objects.overlay import overlay_problems
from gmeta_api.objects.pod_group import pod_group, pod_group_reference
from gmeta_api.objects.pods import Incarnation, PodDefaults, pod
from gmeta_api.objects.shared import config_map, network_policy, service
from gmeta_api.plan import Plan, Site, make_plan
from gmeta_api.spec import MetaTrainingJob, VolumeSpec

__all__ = [
    "ATTEMPT_LABEL",
    "COORDINATOR_PORT",
    "COUNTED_ANNOTATION",
    "FUTILE_ANNOTATION",
    "GENERATION_ANNOTATION",
    "INCARNATION_LABEL",
    "INDEX_LABEL",
    "JOB_LABEL",
    "ROLE_LABEL",
    "STEP_ANNOTATION",
    "UNCOUNTED_ANNOTATION",
    "Incarnation",
    "Object",
    "PodDefaults",
    "cluster_plan",
    "overlay_problems",
    "pod",
    "pod_group",
    "pod_group_reference",
    "shared_objects",
    "worker_selector",
]


def cluster_plan(job: MetaTrainingJob, attempt: int) -> Plan:
    """The job's processes as they run in pods."""
    site = Site(
        volumes={volume.name: _place(volume) for volume in job.spec.volumes},
        job_path=f"{JOB_FOLDER}/{JOB_FILE}",
        coordinator_host=service_host(job.metadata.name, job.metadata.namespace),
        coordinator_port=COORDINATOR_PORT,
        metrics_port=METRICS_PORT,
        listen_host="0.0.0.0",  # noqa: S104  # a pod's network is its own; the NetworkPolicy says who gets in
    )
    return make_plan(job, site, attempt)


def shared_objects(
    job: MetaTrainingJob, plan: Plan, operator_namespace: str, monitoring_namespaces: Sequence[str] = ()
) -> tuple[Object, ...]:
    """What has to be there before an attempt's pods, in the order of making; a PodGroup apart."""
    policy = network_policy(job, operator_namespace, monitoring_namespaces)
    return config_map(job, plan), service(job, plan), policy


def _place(volume: VolumeSpec) -> str:
    return f"{VOLUMES_FOLDER}/{volume.name}" if volume.object_store is None else volume.object_store.uri
