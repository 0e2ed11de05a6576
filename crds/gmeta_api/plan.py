"""What runs for a manifest: the same processes on a laptop and on a cluster.

`make_plan` is the one place where a manifest becomes commands and environment. A laptop starts them as child
processes, a cluster as pods; only the `Site` differs.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from gmeta_api.document import JobDocument, JobIdentity
from gmeta_api.spec import MetaTrainingJob, Spec

Role = Literal["prepare", "coordinator", "worker"]

CLUSTER_ONLY_FIELDS = (
    ("coordinator", "resources"),
    ("workers", "max_replicas"),
    ("workers", "image"),
    ("workers", "image_pull_policy"),
    ("workers", "image_pull_secrets"),
    ("workers", "resources"),
    ("workers", "node_selector"),
    ("workers", "tolerations"),
    ("workers", "object_store_secrets"),
    ("workers", "pod_template"),
    ("fault_tolerance", "restart_backoff_seconds"),
    ("fault_tolerance", "max_backoff_seconds"),
    ("run_policy",),
    ("scheduling",),
)
"""Fields that only a cluster can honour; anywhere else they are accepted and reported as ignored."""


@dataclass(frozen=True)
class Site:
    """Where a plan runs.

    Attributes:
        volumes: folder of every volume, as the processes see it.
        job_path: file of the job document, as the processes see it.
        coordinator_host: name or address at which the coordinator is reached.
        coordinator_port: port that the coordinator listens on.
        metrics_port: port of the metrics of a worker's first rank; its other ranks have the next ones.
        worker_host: address of every worker for the others; None where each has its own, known only when it runs.
        ports_apart: how far apart the metrics of two workers are; 0 where each has an address of its own.
        listen_host: address that the coordinator listens on, where it is not the one at which it is reached.
    """

    volumes: Mapping[str, str]
    job_path: str
    coordinator_host: str
    coordinator_port: int
    metrics_port: int
    listen_host: str | None = None
    worker_host: str | None = None
    ports_apart: int = 0


@dataclass(frozen=True)
class Process:
    """One process of a job, or one pod: its role, its index among its like, its command and environment."""

    role: Role
    index: int
    command: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """Everything that runs for a job.

    Attributes:
        document: what the processes read from the file that GMETA_JOB names.
        prepare: runs to its end before the others; None where the manifest has no `data.prepare`.
        coordinator: starts first of those that train.
        workers: one for each of `workers.replicas`.
        ignored: field paths of the manifest that only a cluster honours.
    """

    document: JobDocument
    prepare: Process | None
    coordinator: Process
    workers: tuple[Process, ...]
    ignored: tuple[str, ...]

    @property
    def processes(self) -> tuple[Process, ...]:
        """All processes in the order of their start."""
        first = () if self.prepare is None else (self.prepare,)
        return (*first, self.coordinator, *self.workers)

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return len(self.workers) * self.document.spec.workers.processes_per_worker


def make_plan(job: MetaTrainingJob, site: Site, attempt: int = 0) -> Plan:
    """The processes that run for a checked manifest at a site."""
    document = JobDocument(
        job=JobIdentity(name=job.metadata.name, namespace=job.metadata.namespace, uid=job.metadata.uid),
        attempt=attempt,
        spec=job.spec,
    )
    return Plan(
        document=document,
        prepare=None if job.spec.data.prepare is None else _process("prepare", 0, _prepare_env(job.spec, site)),
        coordinator=_process("coordinator", 0, _listen_env(site)),
        workers=tuple(
            _process("worker", index, _worker_env(job.spec, site, index)) for index in range(job.spec.workers.replicas)
        ),
        ignored=tuple(cluster_only_fields(job)),
    )


def cluster_only_fields(job: MetaTrainingJob) -> Iterator[str]:
    """Paths of the fields in a manifest that only a cluster honours."""
    for names in CLUSTER_ONLY_FIELDS:
        if _is_set(job.spec, names):
            yield ".".join(("spec", *_aliases(job.spec, names)))


def _process(role: Role, index: int, env: Mapping[str, str]) -> Process:
    return Process(role=role, index=index, command=("python", "-m", "gmeta_worker", role), env=env)


def _common_env(site: Site) -> dict[str, str]:
    return {"GMETA_JOB": site.job_path, "GMETA_VOLUMES": json.dumps(dict(site.volumes), sort_keys=True)}


def _coordinator_env(site: Site) -> dict[str, str]:
    return _common_env(site) | {"GMETA_COORDINATOR": f"http://{site.coordinator_host}:{site.coordinator_port}"}


def _listen_env(site: Site) -> dict[str, str]:
    host = site.listen_host or site.coordinator_host
    return _coordinator_env(site) | {"GMETA_COORDINATOR": f"http://{host}:{site.coordinator_port}"}


def _user_env(spec: Spec) -> dict[str, str]:
    return {variable.name: variable.value for variable in spec.workers.env}


def _prepare_env(spec: Spec, site: Site) -> dict[str, str]:
    return _user_env(spec) | _common_env(site)


def _worker_env(spec: Spec, site: Site, index: int) -> dict[str, str]:
    own = {
        "GMETA_METRICS_PORT": str(site.metrics_port + index * site.ports_apart),
        "GMETA_WORKER_INDEX": str(index),
        "GMETA_LOCAL_SIZE": str(spec.workers.processes_per_worker),
    }
    host = {} if site.worker_host is None else {"GMETA_HOST": site.worker_host}
    return _user_env(spec) | _coordinator_env(site) | own | host


def _is_set(model: BaseModel, names: tuple[str, ...]) -> bool:
    head, *rest = names
    if head not in model.model_fields_set:
        return False
    value = getattr(model, head)
    return not rest or _is_set(value, tuple(rest))


def _aliases(model: BaseModel, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield type(model).model_fields[name].alias or name
        model = getattr(model, name)
