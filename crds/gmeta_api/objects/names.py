"""Names, labels and places of a job's Kubernetes objects."""

from typing import Any

from gmeta_api.plan import Role
from gmeta_api.spec import API_VERSION, GROUP, KIND, MetaTrainingJob

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as plain JSON values."""

JOB_LABEL = f"{GROUP}/job"
ROLE_LABEL = f"{GROUP}/role"
INDEX_LABEL = f"{GROUP}/index"
ATTEMPT_LABEL = f"{GROUP}/attempt"
INCARNATION_LABEL = f"{GROUP}/incarnation"
COUNTED_ANNOTATION = f"{GROUP}/restarts-counted"
UNCOUNTED_ANNOTATION = f"{GROUP}/restarts-uncounted"
FUTILE_ANNOTATION = f"{GROUP}/restarts-without-progress"
STEP_ANNOTATION = f"{GROUP}/restarts-at-step"
GENERATION_ANNOTATION = f"{GROUP}/job-generation"
"""Of the manifest whose job document a pod was given."""

COORDINATOR_PORT = 7070
COORDINATOR_PORT_NAME = "http"
METRICS_PORT = 9400
METRICS_PORT_NAME = "metrics"
"""Of a worker's first rank; the others have `metrics-1` and so on."""
JOB_FOLDER = "/etc/gmeta"
JOB_FILE = "job.json"
VOLUMES_FOLDER = "/volumes"
TERMINATION_LOG = "/dev/termination-log"


def pod_name(job: str, role: Role, index: int, incarnation: int) -> str:
    """Name of a pod: the same decision always leads to the same name, so making it twice makes one pod."""
    slot = f"w{index}" if role == "worker" else role
    return f"{job}-{slot}-{incarnation}"


def service_name(job: str) -> str:
    """Name of the coordinator's Service."""
    return f"{job}-coordinator"


def service_host(job: str, namespace: str) -> str:
    """Name at which the coordinator is reached from the job's pods."""
    return f"{service_name(job)}.{namespace}.svc"


def config_name(job: str, attempt: int) -> str:
    """Name of the ConfigMap with an attempt's job document."""
    return f"{job}-job-{attempt}"


def worker_selector(job: str) -> str:
    """Label selector of a job's worker pods."""
    return f"{JOB_LABEL}={job},{ROLE_LABEL}=worker"


def metadata(job: MetaTrainingJob, name: str, labels: Object | None = None) -> Object:
    """Metadata of a child: in the job's namespace, deleted with it."""
    return {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": {
            "app.kubernetes.io/name": "gmeta-job",
            "app.kubernetes.io/managed-by": "gmeta-operator",
            JOB_LABEL: job.metadata.name,
            **(labels or {}),
        },
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": job.metadata.name,
                "uid": job.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
