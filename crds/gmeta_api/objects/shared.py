"""What the pods of an attempt share: job document, address of the coordinator, network policy."""

from collections.abc import Sequence

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


def network_policy(job: MetaTrainingJob, operator_namespace: str, monitoring_namespaces: Sequence[str]) -> Object:
    """Lets in the job's own pods and the operator's namespace; others, where named, to the ports with metrics."""
    own_pods = {"podSelector": {"matchLabels": {JOB_LABEL: job.metadata.name}}}
    ingress: list[Object] = [{"from": [own_pods, _namespaces([operator_namespace])]}]
    if monitoring_namespaces:
        last_rank = METRICS_PORT + job.spec.workers.processes_per_worker - 1
        ports: list[Object] = [
            {"protocol": "TCP", "port": COORDINATOR_PORT},
            {"protocol": "TCP", "port": METRICS_PORT, "endPort": last_rank},
        ]
        ingress.append({"from": [_namespaces(monitoring_namespaces)], "ports": ports})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(job, job.metadata.name),
        "spec": {
            **own_pods,
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _namespaces(names: Sequence[str]) -> Object:
    """The peers that are any pod of these namespaces."""
    expression = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(names)}
    return {"namespaceSelector": {"matchExpressions": [expression]}}
