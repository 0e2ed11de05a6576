"""`kubectl gmeta logs`: the log of the right pod of a job."""

import argparse
import sys
from collections.abc import Iterable

from gmeta_kubectl.jobs import Job, Pod, part
from gmeta_kubectl.kubectl import Kubectl, KubectlError
from gmeta_kubectl.text import count, paragraph

EXAMPLE = "kubectl gmeta logs movies --rank 3 -f"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rank", type=int, metavar="N", help="the worker that has rank N when all workers are there")
    which.add_argument("--worker", type=int, metavar="N", help="the worker of index N [0]")
    which.add_argument("--coordinator", action="store_true", help="the coordinator")
    which.add_argument("--prepare", action="store_true", help="the preparation of the dataset")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument("--previous", action="store_true", help="of the pod before the newest one of that place")
    parser.add_argument("job", metavar="JOB", help="name of a job")


def run(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """Become `kubectl logs`."""
    job = Job(kubectl.job(options.job))
    role, index = place(options, job)
    pod = chosen([Pod(each) for each in kubectl.pods(job.name)], role, index, previous=options.previous)
    for line in note(job, options.rank):
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    kubectl.become("logs", pod.name, *(["--follow"] if options.follow else []))


def place(options: argparse.Namespace, job: Job) -> tuple[str, int]:
    """Role and index of the pod that is asked for.

    Raises:
        KubectlError: there is no such rank or worker.
    """
    if options.coordinator or options.prepare:
        return "coordinator" if options.coordinator else "prepare", 0
    if options.rank is None:
        return "worker", options.worker or 0
    ranks = processes(job) * replicas(job)
    if not 0 <= options.rank < ranks:
        raise KubectlError(f"job {job.name} has no rank {options.rank}: its ranks are 0 to {ranks - 1}")
    return "worker", options.rank // processes(job)


def chosen(pods: Iterable[Pod], role: str, index: int, *, previous: bool) -> Pod:
    """The newest pod of a place, or the one before it.

    Raises:
        KubectlError: there is none.
    """
    name = f"worker {index}" if role == "worker" else role
    found = sorted((pod for pod in pods if (pod.role, pod.index) == (role, index)), key=lambda pod: pod.number)
    if not found:
        raise KubectlError(f"there is no pod of {name}: it has not been made, or it has been cleaned up")
    if previous and len(found) == 1:
        raise KubectlError(f"there is no pod of {name} before {found[0].name}")
    return found[-2] if previous else found[-1]


def note(job: Job, rank: int | None) -> list[str]:
    """What has to be said about the log of a rank that shares its pod."""
    size = processes(job)
    if rank is None or size == 1:
        return []
    first = rank // size * size
    text = (
        f"Rank {rank} is process {rank - first} of worker {rank // size}. That pod's {count(size, 'rank')}, {first} to "
        f"{first + size - 1}, write one log, and its lines do not say of which rank they are."
    )
    return paragraph(text)


def processes(job: Job) -> int:
    """Ranks of a worker."""
    return int(part(job.spec, "workers").get("processesPerWorker", 1))


def replicas(job: Job) -> int:
    """Workers that the job should have."""
    return int(part(job.spec, "workers").get("replicas", 1))
