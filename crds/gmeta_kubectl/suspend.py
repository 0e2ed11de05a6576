"""`kubectl gmeta suspend` and `kubectl gmeta resume`."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator

from gmeta_kubectl.jobs import Job, Pod, newest
from gmeta_kubectl.kubectl import RESOURCE, Kubectl, KubectlError
from gmeta_kubectl.text import count

SUSPEND_EXAMPLE = "kubectl gmeta suspend movies --wait"
RESUME_EXAMPLE = "kubectl gmeta resume movies --wait"
TIMEOUT_SECONDS = 300
POLL_SECONDS = 2.0

Pending = Callable[[Job, list[Pod]], str | None]
"""What is still waited for; None once nothing is."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the commands take."""
    parser.add_argument("job", metavar="JOB", help="name of a job")
    parser.add_argument("--wait", action="store_true", help="wait for it, and show what is waited for")
    text = f"seconds to wait at most [{TIMEOUT_SECONDS}]"
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help=text)


def suspend(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """Have a job commit and give up its pods."""
    return _ask(options, kubectl, "suspended", unsuspended, suspend=True)


def resume(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """Have a job go on from its last commit."""
    return _ask(options, kubectl, "resumed", unresumed, suspend=False)


def unsuspended(job: Job, pods: list[Pod]) -> str | None:
    """What a suspension waits for."""
    there = [pod.name for pod in pods if not pod.ended]
    if there:
        return f"{', '.join(there[:3])}{' and more' if len(there) > 3 else ''} to commit and leave"
    return None if (job.state, job.reason) == ("Suspended", "Suspended") else "the operator"


def unresumed(job: Job, pods: list[Pod]) -> str | None:
    """What a resumption waits for."""
    if job.state == "Running":
        return None
    late = [pod for pod in newest(pods) if not pod.ready and not pod.ended]
    return f"{count(len(late), 'pod')}; the job is {job.title}: {job.sentence}" if late else f"the job, {job.title}"


def _ask(options: argparse.Namespace, kubectl: Kubectl, done: str, pending: Pending, *, suspend: bool) -> Iterator[str]:
    job = Job(kubectl.job(options.job))
    if job.ended:
        raise KubectlError(f"job {job.name} has ended ({job.state}); it cannot be {done} any more")
    patch = json.dumps({"spec": {"runPolicy": {"suspend": suspend}}})
    kubectl.run("patch", RESOURCE, job.name, "--type=merge", f"--patch={patch}")
    if options.wait:
        yield from _wait(kubectl, job.name, pending, options.timeout)
    yield f"{job.namespace}/{job.name} {done}" if options.wait else f"{job.namespace}/{job.name} will be {done}"


def _wait(kubectl: Kubectl, name: str, pending: Pending, seconds: float) -> Iterator[str]:
    """Wait, telling each time when something else is waited for.

    Raises:
        KubectlError: the time is over, or the job has ended.
    """
    deadline, told = time.monotonic() + seconds, ""
    while True:
        job = Job(kubectl.job(name))
        if job.ended:
            raise KubectlError(f"job {name} has ended meanwhile: {job.title}: {job.sentence}")
        what = pending(job, [Pod(each) for each in kubectl.pods(name)])
        if what is None:
            return
        if what != told:
            yield f"waiting for {what}"
        if time.monotonic() >= deadline:
            raise KubectlError(f"gave up after {seconds:g} s; job {name} still waits for {what}")
        told = what
        time.sleep(POLL_SECONDS)
