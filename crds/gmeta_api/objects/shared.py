"""What the pods of an attempt share: job document, address of the coordinator, network policy."""

from gmeta_api.objects.names import (
    ATTEMPT_LABEL,
    COORDINATOR_PORT,
    JOB_FILE,
    JOB_LABEL,
    METRICS_PORT,
    ROLE_LABEL,
    Object,
    config_name,
    metadata,
    service_name,
)
from gmeta_api.plan import Plan
from gmeta_api.spec import MetaTrainingJob


def config_map(job: MetaTrainingJob, plan: Plan) -> Object:
    """The ConfigMap with the attempt's job document."""
    attempt = plan.document.attempt
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(job, config_name(job.metadata.name, attempt), {ATTEMPT_LABEL: str(attempt)}),
        "data": {JOB_FILE: plan.document.to_json()},
    }


def service(job: MetaTrainingJob, plan: Plan) -> Object:
    """The Service of the attempt's coordinator.

    It has an address of its own rather than being headless: a name that clients have looked up stays right when the
    coordinator's pod is replaced.
    """
    selector = {JOB_LABEL: job.metadata.name, ROLE_LABEL: "coordinator", ATTEMPT_LABEL: str(plan.document.attempt)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(job, service_name(job.metadata.name)),
        "spec": {
            "selector": selector,
            "publishNotReadyAddresses": True,
            "ports": [{"name": "http", "port": COORDINATOR_PORT, "protocol": "TCP", "targetPort": COORDINATOR_PORT}],
        },
    }


def network_policy(job: MetaTrainingJob, operator_namespace: str) -> Object:
    """Lets in the job's own pods, the operator's namespace, and anybody who collects the ranks' metrics."""
    own_pods = {"podSelector": {"matchLabels": {JOB_LABEL: job.metadata.name}}}
    last_rank = METRICS_PORT + job.spec.workers.processes_per_worker - 1
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(job, job.metadata.name),
        "spec": {
            "podSelector": {"matchLabels": {JOB_LABEL: job.metadata.name}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [own_pods, operator]},
                {"ports": [{"protocol": "TCP", "port": METRICS_PORT, "endPort": last_rank}]},
            ],
        },
    }
