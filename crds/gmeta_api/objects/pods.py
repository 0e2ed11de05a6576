"""From a process of the plan to its pod."""

from collections.abc import Iterator
from dataclasses import dataclass

from gmeta_api.objects.names import (
    ATTEMPT_LABEL,
    COORDINATOR_PORT,
    COORDINATOR_PORT_NAME,
    COUNTED_ANNOTATION,
    FUTILE_ANNOTATION,
    GENERATION_ANNOTATION,
    INCARNATION_LABEL,
    INDEX_LABEL,
    JOB_FOLDER,
    METRICS_PORT,
    METRICS_PORT_NAME,
    ROLE_LABEL,
    STEP_ANNOTATION,
    TERMINATION_LOG,
    UNCOUNTED_ANNOTATION,
    VOLUMES_FOLDER,
    Object,
    config_name,
    metadata,
    pod_name,
)
from gmeta_api.objects.nodes import away_from
from gmeta_api.objects.overlay import with_overlay
from gmeta_api.objects.scheduling import needs_one_shape, with_scheduling
from gmeta_api.plan import Process
from gmeta_api.spec import MetaTrainingJob, ResourcesSpec, VolumeSpec
from gmeta_api.status import RestartCounts

GPU = "nvidia.com/gpu"
USER_ID = 10001
"""The user of the images in this repository; another one is set in `workers.podTemplate`."""

DEFAULT_ENV = {"HOME": "/tmp", "XDG_CACHE_HOME": "/cache", "OMP_NUM_THREADS": "1"}  # noqa: S108  # an emptyDir of the pod
"""The places of a read-only container that can be written; and one thread a process, as torchrun has it: torch would
start one for each processor of the node, and threads that wait for each other spin."""


@dataclass(frozen=True)
class Incarnation:
    """Which start of a process a pod is.

    Attributes:
        attempt: the job's attempt that the pod belongs to.
        restarts: restarts of the job until this pod, itself included.
        generation: of the manifest that the pod is made from.
        avoid: nodes that it rather does not go to.
    """

    attempt: int
    restarts: RestartCounts
    generation: int
    avoid: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The number in the pod's name; later pods have higher ones."""
        return self.restarts.counted + self.restarts.uncounted


@dataclass(frozen=True)
class PodDefaults:
    """What the operator's own settings say about pods.

    Attributes:
        image: image of the pods where the manifest names none.
        pull_policy: when that image is pulled; None for Kubernetes' default.
    """

    image: str
    pull_policy: str | None = None


def pod(job: MetaTrainingJob, process: Process, incarnation: Incarnation, defaults: PodDefaults) -> Object:
    """The pod of a process."""
    plain = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(job, process, incarnation),
        "spec": {
            "securityContext": {"fsGroup": USER_ID, "fsGroupChangePolicy": "OnRootMismatch", "runAsUser": USER_ID}
        },
    }
    overlaid = with_overlay(plain, job.spec.workers.pod_template)
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    avoid = () if needs_one_shape(job.spec.scheduling) else incarnation.avoid
    overlaid["spec"] |= _spec(job, process, incarnation, defaults) | away_from(avoid, overlaid["spec"])
    overlaid["spec"]["securityContext"] |= security
    return with_scheduling(overlaid, job, process.role, incarnation.attempt)


def _metadata(job: MetaTrainingJob, process: Process, incarnation: Incarnation) -> Object:
    name = pod_name(job.metadata.name, process.role, process.index, incarnation.number)
    labels = {
        ROLE_LABEL: process.role,
        INDEX_LABEL: str(process.index),
        ATTEMPT_LABEL: str(incarnation.attempt),
        INCARNATION_LABEL: str(incarnation.number),
    }
    annotations = {
        COUNTED_ANNOTATION: str(incarnation.restarts.counted),
        UNCOUNTED_ANNOTATION: str(incarnation.restarts.uncounted),
        FUTILE_ANNOTATION: str(incarnation.restarts.without_progress),
        STEP_ANNOTATION: str(incarnation.restarts.at_step),
        GENERATION_ANNOTATION: str(incarnation.generation),
    }
    return {**metadata(job, name, labels), "annotations": annotations}


def _spec(job: MetaTrainingJob, process: Process, incarnation: Incarnation, defaults: PodDefaults) -> Object:
    workers, scheduling = job.spec.workers, job.spec.scheduling
    optional = {
        "imagePullSecrets": [{"name": secret.name} for secret in workers.image_pull_secrets],
        "nodeSelector": dict(workers.node_selector),
        "tolerations": [each.model_dump(by_alias=True, exclude_none=True) for each in workers.tolerations],
        "priorityClassName": scheduling.priority_class_name,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_container(job, process, defaults)],
        "volumes": list(_volumes(job, process, incarnation)),
        **{name: value for name, value in optional.items() if value},
    }


def _container(job: MetaTrainingJob, process: Process, defaults: PodDefaults) -> Object:
    own_image = job.spec.workers.image
    policy = job.spec.workers.image_pull_policy or (None if own_image else defaults.pull_policy)
    last_words = {"GMETA_LAST_WORDS": TERMINATION_LOG} if process.role == "coordinator" else {}
    env = {**DEFAULT_ENV, **process.env, **last_words}
    optional = {
        "imagePullPolicy": policy,
        "envFrom": [{"secretRef": {"name": name}} for name in _secrets(job)],
        "ports": list(_ports(job, process)),
        "resources": _resources(job, process).model_dump(exclude_defaults=True),
    }
    return {
        "name": process.role,
        "image": own_image or defaults.image,
        "command": list(process.command),
        "env": [*_own_address(process), *({"name": name, "value": value} for name, value in sorted(env.items()))],
        "volumeMounts": list(_mounts(job, process)),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        **{name: value for name, value in optional.items() if value},
    }


def _own_address(process: Process) -> Iterator[Object]:
    """Where the other workers reach this one: its address is known only once the pod has a place."""
    if process.role == "worker":
        yield {"name": "GMETA_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def _ports(job: MetaTrainingJob, process: Process) -> Iterator[Object]:
    if process.role == "coordinator":
        yield _port(COORDINATOR_PORT_NAME, COORDINATOR_PORT)
    for rank in range(job.spec.workers.processes_per_worker) if process.role == "worker" else ():
        yield _port(f"{METRICS_PORT_NAME}-{rank}" if rank else METRICS_PORT_NAME, METRICS_PORT + rank)


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _resources(job: MetaTrainingJob, process: Process) -> ResourcesSpec:
    return job.spec.coordinator.resources if process.role == "coordinator" else job.spec.workers.resources


def _secrets(job: MetaTrainingJob) -> list[str]:
    stores = [volume.object_store for volume in job.spec.volumes]
    of_volumes = [store.credentials_secret for store in stores if store is not None and store.credentials_secret]
    return list(dict.fromkeys([*of_volumes, *(secret.name for secret in job.spec.workers.object_store_secrets)]))


def _mounts(job: MetaTrainingJob, process: Process) -> Iterator[Object]:
    yield {"name": "gmeta-job", "mountPath": JOB_FOLDER, "readOnly": True}
    yield {"name": "gmeta-tmp", "mountPath": "/tmp"}  # noqa: S108  # an emptyDir of the pod
    yield {"name": "gmeta-cache", "mountPath": "/cache"}
    if _asks_for_gpu(job, process):
        yield {"name": "gmeta-shm", "mountPath": "/dev/shm"}  # noqa: S108  # an emptyDir of the pod
    for number, volume in _mounted(job):
        yield {"name": f"volume-{number}", "mountPath": f"{VOLUMES_FOLDER}/{volume.name}"}


def _volumes(job: MetaTrainingJob, process: Process, incarnation: Incarnation) -> Iterator[Object]:
    yield {"name": "gmeta-job", "configMap": {"name": config_name(job.metadata.name, incarnation.attempt)}}
    yield {"name": "gmeta-tmp", "emptyDir": {}}
    yield {"name": "gmeta-cache", "emptyDir": {}}
    if _asks_for_gpu(job, process):
        # NCCL and torch's shared tensors outgrow the 64 MiB that a container has otherwise.
        yield {"name": "gmeta-shm", "emptyDir": {"medium": "Memory"}}
    for number, volume in _mounted(job):
        yield {"name": f"volume-{number}", **_source(volume)}


def _mounted(job: MetaTrainingJob) -> Iterator[tuple[int, VolumeSpec]]:
    """The volumes that are folders in a pod; with a number, since a volume's name may be as long as a pod's may."""
    return ((number, volume) for number, volume in enumerate(job.spec.volumes) if volume.object_store is None)


def _source(volume: VolumeSpec) -> Object:
    if volume.persistent_volume_claim is not None:
        claim = volume.persistent_volume_claim
        return {"persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": claim.read_only}}
    assert volume.empty_dir is not None, "a checked volume has exactly one source"
    return {"emptyDir": volume.empty_dir.model_dump(by_alias=True, exclude_defaults=True)}


def _asks_for_gpu(job: MetaTrainingJob, process: Process) -> bool:
    return GPU in _resources(job, process).limits
