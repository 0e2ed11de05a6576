"""`kubectl gmeta scale`: more or fewer workers, with the limits checked first."""

import argparse
from collections.abc import Iterable

from gmeta_kubectl.jobs import Job, part
from gmeta_kubectl.kubectl import RESOURCE, Kubectl, KubectlError
from gmeta_kubectl.logs import replicas
from gmeta_kubectl.text import count

EXAMPLE = "kubectl gmeta scale movies 4"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("job", metavar="JOB", help="name of a job")
    parser.add_argument("workers", type=int, metavar="N", help="workers that it should have")


def run(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """Scale, or say why not."""
    job = Job(kubectl.job(options.job))
    problem = refusal(job, options.workers)
    if problem is not None:
        raise KubectlError(problem)
    before = replicas(job)
    if before == options.workers:
        return [f"{job.namespace}/{job.name} has {count(before, 'worker')} already"]
    kubectl.run("scale", RESOURCE, job.name, f"--replicas={options.workers}")
    return [f"{job.namespace}/{job.name} scaled from {before} to {count(options.workers, 'worker')}{_outlook(job)}"]


def refusal(job: Job, wanted: int) -> str | None:
    """Why a job cannot have so many workers; None where it can."""
    workers = part(job.spec, "workers")
    lowest, highest = workers.get("minReplicas", 1), workers.get("maxReplicas")
    if job.ended:
        return f"job {job.name} has ended ({job.state}); it makes no pods any more"
    if wanted < lowest:
        field = "spec.workers.minReplicas" if "minReplicas" in workers else "the least that a job has"
        return f"{count(wanted, 'worker')} would be fewer than {field}, {lowest}{_change(job, 'minReplicas', wanted)}"
    if highest is not None and wanted > highest:
        change = _change(job, "maxReplicas", wanted)
        return f"{count(wanted, 'worker')} would be more than spec.workers.maxReplicas, {highest}{change}"
    return None


def _change(job: Job, field: str, wanted: int) -> str:
    if wanted < 1:
        return f"; `kubectl gmeta suspend {job.name}` gives up all of them"
    patch = f'{{"spec":{{"workers":{{"{field}":{wanted}}}}}}}'
    return f"; to change that: kubectl patch mtj {job.name} -n {job.namespace} --type=merge -p '{patch}'"


def _outlook(job: Job) -> str:
    return "; it is suspended, so that holds once it is resumed" if job.state == "Suspended" else ""
