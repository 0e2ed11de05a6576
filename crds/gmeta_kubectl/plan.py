"""`kubectl gmeta plan`: what the operator would make of a manifest, and whether the namespace has room for it."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from gmeta_api.errors import ManifestError
from gmeta_api.load import load_manifest, parse_job
from gmeta_api.objects import (
    Incarnation,
    PodDefaults,
    cluster_plan,
    overlay_problems,
    pod,
    pod_group,
    shared_objects,
)
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.status import RestartCounts
from gmeta_kubectl.cost import cost_lines
from gmeta_kubectl.jobs import Pod
from gmeta_kubectl.kubectl import Kubectl, KubectlError, Object
from gmeta_kubectl.quantity import show
from gmeta_kubectl.quota import refusals, usage
from gmeta_kubectl.text import UNKNOWN, count, paragraph, table

EXAMPLE = "kubectl gmeta plan -f job.yaml -n team-a"
DEFAULT_IMAGE = "the operator's workerImage"
FIRST = Incarnation(0, RestartCounts(), 0)
RESOURCES = (("CPU", "cpu"), ("MEMORY", "memory"), ("GPU", "nvidia.com/gpu"))


@dataclass(frozen=True)
class Planned:
    """What would be made.

    Attributes:
        job: the job.
        prepare: the pod that runs first and alone, if any.
        training: the pods that run together, the coordinator first.
        shared: what they share.
    """

    job: MetaTrainingJob
    prepare: tuple[Object, ...]
    training: tuple[Object, ...]
    shared: tuple[Object, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("job", nargs="?", metavar="JOB", help="name of a job of the cluster")
    which.add_argument("-f", "--filename", type=Path, metavar="FILE", help="a manifest")
    text = "override a field of the manifest, as in `gmeta plan`"
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE", help=text)


def run(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """The lines to be printed."""
    if options.job is None:
        job, own = _placed(load_manifest(options.filename, options.settings), kubectl), []
    else:
        job = parse_job(kubectl.job(options.job))
        own = [each for each in kubectl.pods(job.metadata.name) if not Pod(each).ended]
    planned = planned_objects(job)
    return [*plan_lines(planned), "", "Quota", *_quota_lines(planned, kubectl, own)]


def _placed(job: MetaTrainingJob, kubectl: Kubectl) -> MetaTrainingJob:
    """The job in the namespace that `kubectl apply` would make it in; without a cluster in that of the manifest."""
    if kubectl.namespace is None and "namespace" in job.metadata.model_fields_set:
        return job
    try:
        namespace = kubectl.current_namespace()
    except KubectlError:
        namespace = job.metadata.namespace
    return job.model_copy(update={"metadata": job.metadata.model_copy(update={"namespace": namespace})})


def planned_objects(job: MetaTrainingJob) -> Planned:
    """What the operator would make for the first attempt of a job.

    Raises:
        ManifestError: the overlay on the pods has fields that a manifest may not set.
    """
    problems = list(overlay_problems(job.spec.workers.pod_template))
    if problems:
        raise ManifestError(problems)
    plan = cluster_plan(job, 0)
    group = pod_group(job)
    made = [(process.role, pod(job, process, FIRST, PodDefaults(DEFAULT_IMAGE))) for process in plan.processes]
    return Planned(
        job,
        tuple(each for role, each in made if role == "prepare"),
        tuple(each for role, each in made if role != "prepare"),
        (*shared_objects(job, plan, operator_namespace=UNKNOWN), *((group,) if group else ())),
    )


def plan_lines(planned: Planned) -> Iterator[str]:
    """Pods, totals, ranks, shared objects, gang and memory."""
    job, workers = planned.job, planned.job.spec.workers
    yield from paragraph(f"{job.metadata.namespace}/{job.metadata.name}: the operator would make")
    yield ""
    yield from table(("PODS", "ROLE", *(name for name, _ in RESOURCES)), _pod_rows(planned))
    yield ""
    yield f"Image:   {planned.training[0]['spec']['containers'][0]['image']}"
    yield f"World:   {_world(job)}"
    elastic = (workers.min_replicas or workers.replicas, workers.max_replicas or workers.replicas)
    if elastic != (workers.replicas, workers.replicas):
        yield f"Elastic: trains with {elastic[0]} to {elastic[1]} workers"
    shared = (f"{each['kind']} {each['metadata']['name']}" for each in planned.shared)
    yield from paragraph(", ".join(shared), " " * 9, "Shared:  ")
    yield from _gang(job)
    yield ""
    yield "Memory"
    for line in cost_lines(job.spec):
        yield from paragraph(line, "  ")


def quota_lines(quotas: Iterable[Object], planned: Planned, own: Sequence[Object]) -> Iterator[str]:
    """Which quota would refuse how many pods."""
    quotas = list(quotas)
    for quota in quotas:
        for phase in (planned.prepare, planned.training):
            causes = Counter(each.cause for each in refusals(quota, phase, own))
            for cause, number in causes.items():
                words = f"{quota['metadata']['name']} would refuse {number} of {count(len(phase), 'pod')}: {cause}"
                yield from paragraph(words, "    ", "  ")
    if not quotas:
        yield "  the namespace has none"


def _quota_lines(planned: Planned, kubectl: Kubectl, own: Sequence[Object]) -> list[str]:
    scoped = Kubectl(kubectl.flags, planned.job.metadata.namespace)
    try:
        quotas = scoped.get("resourcequotas")["items"]
    except KubectlError as error:
        return paragraph(f"not checked: {error}", "  ")
    return list(quota_lines(quotas, planned, own)) or ["  there is room for all pods"]


def _pod_rows(planned: Planned) -> Iterator[tuple[str, ...]]:
    coordinator, *workers = planned.training
    for each in (*planned.prepare, coordinator):
        yield _pod_row(each["metadata"]["name"], each["spec"]["containers"][0]["name"], [each])
    first, last = (each["metadata"]["name"] for each in (workers[0], workers[-1]))
    names = first if first == last else f"{first} .. {last.removeprefix(planned.job.metadata.name + '-')}"
    yield _pod_row(names, f"{count(len(workers), 'worker')}, each", workers[:1])
    yield (f"{len(planned.training)} together", "", *_amounts(planned.training))


def _pod_row(name: str, role: str, pods: Sequence[Object]) -> tuple[str, ...]:
    return (name, role, *_amounts(pods))


def _amounts(pods: Sequence[Object]) -> Iterator[str]:
    """Requests in all, and limits where they differ."""
    taken = [usage(each) for each in pods]
    for _, name in RESOURCES:
        asked, most = (
            sum((each.get(f"{kind}.{name}", Decimal(0)) for each in taken), Decimal(0))
            for kind in ("requests", "limits")
        )
        limit = f" (limit {show(name, most)})" if most and most != asked else ""
        yield f"{show(name, asked)}{limit}" if asked or most else UNKNOWN


def _world(job: MetaTrainingJob) -> str:
    workers, size = job.spec.workers.replicas, job.spec.workers.processes_per_worker
    ranks = count(workers * size, "rank")
    if size == 1:
        return f"{ranks}, one in each worker"
    return f"{ranks}: {count(workers, 'worker')} of {size}; worker W has ranks {size} W to {size} W + {size - 1}"


def _gang(job: MetaTrainingJob) -> Iterator[str]:
    scheduling = job.spec.scheduling
    if scheduling.gang.scheduler != "none":
        yield f"Gang:    {scheduling.gang.scheduler} places all pods or none"
    if scheduling.queue is not None:
        yield f"Queue:   {scheduling.queue}"
