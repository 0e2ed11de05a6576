"""What a pod says to the cluster's schedulers: its scheduler, its group, its queue, its spread."""

from gmeta_api.objects.names import JOB_LABEL, ROLE_LABEL, Object
from gmeta_api.plan import Role
from gmeta_api.spec import MetaTrainingJob, SchedulingSpec

VOLCANO_GROUP_ANNOTATION = "scheduling.k8s.io/group-name"
VOLCANO_QUEUE_ANNOTATION = "scheduling.volcano.sh/queue-name"
COSCHEDULING_GROUP_LABEL = "scheduling.x-k8s.io/pod-group"
KUEUE_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
KUEUE_GROUP_LABEL = "kueue.x-k8s.io/pod-group-name"
KUEUE_COUNT_ANNOTATION = "kueue.x-k8s.io/pod-group-total-count"
KUEUE_RETRIABLE_ANNOTATION = "kueue.x-k8s.io/retriable-in-group"
KUEUE_GATE = "kueue.x-k8s.io/admission"

DEFAULT_SCHEDULER = "default-scheduler"
UID_CHARACTERS = 8


def with_scheduling(pod: Object, job: MetaTrainingJob, role: Role, attempt: int) -> Object:
    """The pod as the job's schedulers want it."""
    metadata, spec = pod["metadata"], pod["spec"]
    labels, annotations = _gang_marks(job, role, attempt)
    marked = {
        "labels": {**metadata["labels"], **labels},
        "annotations": {**metadata["annotations"], **annotations},
    }
    spread = [*spec.get("topologySpreadConstraints", ()), *(_topology_spread(job) if role == "worker" else ())]
    optional = {"schedulerName": scheduler_name(job.spec.scheduling), "topologySpreadConstraints": spread}
    placed = {name: value for name, value in optional.items() if value}
    return {**pod, "metadata": {**metadata, **marked}, "spec": {**spec, **placed}}


def scheduler_name(scheduling: SchedulingSpec) -> str | None:
    """The scheduler that the pods name; None for the cluster's default."""
    return "volcano" if scheduling.gang.scheduler == "volcano" else scheduling.scheduler_name


def needs_one_shape(scheduling: SchedulingSpec) -> bool:
    """Whether all starts of a worker need the same affinity, tolerations and so on, as pods in a group of Kueue do.

    One of another shape takes no place in the group: it would wait for ever.
    """
    return scheduling.gang.scheduler == "kueue"


def kueue_group(job: MetaTrainingJob, attempt: int) -> str:
    """Name of an attempt's pod group, and of the Workload that Kueue makes of it.

    A group that has ended admits no pod again, so each attempt has its own, and so has a later job of the same name.
    """
    return f"{job.metadata.name}-{job.metadata.uid[:UID_CHARACTERS]}-{attempt}"


def _gang_marks(job: MetaTrainingJob, role: Role, attempt: int) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations of a pod for the job's gang scheduler.

    The preparation is no part of the gang, which is made once it has ended; it takes its place in the queue alone.
    """
    name, scheduling = job.metadata.name, job.spec.scheduling
    alone = role == "prepare"
    match scheduling.gang.scheduler:
        case "volcano" if alone:
            return {}, {VOLCANO_QUEUE_ANNOTATION: scheduling.queue} if scheduling.queue else {}
        case "volcano":
            return {}, {VOLCANO_GROUP_ANNOTATION: name}
        case "coscheduling" if not alone:
            return {COSCHEDULING_GROUP_LABEL: name}, {}
        case "kueue":
            return _kueue_marks(job, role, attempt)
    return {}, {}


def _topology_spread(job: MetaTrainingJob) -> list[Object]:
    """The constraints that spread the job's workers."""
    workers = {JOB_LABEL: job.metadata.name, ROLE_LABEL: "worker"}
    return [
        {**each.model_dump(by_alias=True), "labelSelector": {"matchLabels": workers}}
        for each in job.spec.scheduling.topology_spread
    ]


def _kueue_marks(job: MetaTrainingJob, role: Role, attempt: int) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations of a pod that Kueue admits, with its group or alone."""
    labels = {KUEUE_QUEUE_LABEL: job.spec.scheduling.queue or ""}
    if role == "prepare":
        return labels, {}
    count = str(1 + job.spec.workers.replicas)
    return {**labels, KUEUE_GROUP_LABEL: kueue_group(job, attempt)}, {KUEUE_COUNT_ANNOTATION: count}
