"""`kubectl gmeta why`: what a job waits for or why it has failed, how that is known, and what to do."""

import argparse
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from gmeta_api.exit_codes import meaning_of
from gmeta_kubectl.explanations import explanation, page_of
from gmeta_kubectl.failure import failure_words
from gmeta_kubectl.jobs import Job, Pod, newest, part
from gmeta_kubectl.kubectl import Kubectl, Object
from gmeta_kubectl.text import age, paragraph

EXAMPLE = "kubectl gmeta why movies -n team-a"
MOST_EVENTS = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("job", metavar="JOB", help="name of a job")


def run(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """The lines to be printed."""
    job = Job(kubectl.job(options.job))
    pods = [Pod(each) for each in kubectl.pods(job.name)]
    pod = witness(job, pods)
    named = [job.name] if pod is None else [pod.name, job.name]
    events = [event for name in named for event in kubectl.events(name)]
    return page(job, pod, events, datetime.now(UTC))


def witness(job: Job, pods: Iterable[Pod]) -> Pod | None:
    """The pod that shows what is wrong: the one that has failed last, else the first that does not run."""
    pods = list(pods)
    if job.state in ("Restarting", "Failed"):
        failed = part(job.status, "lastFailure").get("pod")
        return next((pod for pod in pods if pod.name == failed), None)
    if job.state in ("Pending", "Preparing"):
        return next((pod for pod in newest(pods) if not pod.ready and not pod.ended), None)
    return None


def page(job: Job, pod: Pod | None, events: Iterable[Object], now: datetime) -> list[str]:
    """What is so, how that is known, and what to do."""
    found = explanation(job.state, job.reason)
    evidence = list(_evidence(job, pod, events, now))
    return [
        *paragraph(f"{job.namespace}/{job.name} is {job.title}. {found.meaning}"),
        *(["", "How that is known"] if evidence else []),
        *(line for each in evidence for line in paragraph(each, "    ", "  - ")),
        "",
        "What to do",
        *paragraph(found.advice, "  ", "  "),
        f"    {_command(found.command, job, pod)}",
        "",
        f"More: {page_of(job.state)}",
    ]


def _command(template: str, job: Job, pod: Pod | None) -> str:
    name = pod.name if pod is not None else part(job.status, "lastFailure").get("pod", "POD")
    return template.format(job=job.name, namespace=job.namespace, pod=name)


def _evidence(job: Job, pod: Pod | None, events: Iterable[Object], now: datetime) -> Iterator[str]:
    if job.sentence:
        yield f"status: {job.sentence}"
    yield from _failure(job, now)
    if not job.ended:
        yield from _conditions(job)
    if pod is not None:
        yield f"pod {pod.name}, on {pod.node or 'no node yet'}, is {_pod_words(pod)}"
    yield from _events(events, now)


def _failure(job: Job, now: datetime) -> Iterator[str]:
    failure = part(job.status, "lastFailure")
    if not failure or job.state not in ("Restarting", "Failed"):
        return
    yield f"last failure {failure_words(failure, now)}"
    if failure.get("exitCode") is not None:
        yield f"exit code {failure['exitCode']}: {meaning_of(failure['exitCode'])}"


def _conditions(job: Job) -> Iterator[str]:
    """The conditions that are not as they are while a job trains; the message of Invalid is the sentence already."""
    for each in job.conditions:
        if each.get("type") not in ("Invalid", "Suspended", "Succeeded") and each.get("status") == "False":
            yield f"condition {each['type']} is False ({each.get('reason')}): {each.get('message')}"


def _pod_words(pod: Pod) -> str:
    ended, waiting = pod.terminated, pod.waiting
    if ended:
        return f"{pod.phase}: exit code {ended.get('exitCode')}, {ended.get('reason', 'no reason')}"
    cause = f": {waiting.get('reason')}" if waiting else ""
    return f"{pod.phase}{cause}{': ' + waiting['message'] if waiting.get('message') else ''}"


def _events(events: Iterable[Object], now: datetime) -> Iterator[str]:
    """The last warnings, and of several that say the same the last one."""
    warnings = {str(each.get("message")): each for each in sorted(events, key=_when) if each.get("type") == "Warning"}
    for message, each in list(warnings.items())[-MOST_EVENTS:]:
        about = part(each, "involvedObject")
        thing = f"{about.get('kind')} {about.get('name')}"
        yield f"event {age(_when(each), now)} ago, {thing}, {each.get('reason')}: {message}"


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")
