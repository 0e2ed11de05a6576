"""`kubectl gmeta status`: all jobs as a table, or one job as a page."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from gmeta_api.spec import FaultToleranceSpec
from gmeta_kubectl.explanations import page_of
from gmeta_kubectl.failure import failure_words
from gmeta_kubectl.jobs import Job, Pod, newest, part
from gmeta_kubectl.kubectl import Kubectl
from gmeta_kubectl.text import UNKNOWN, age, bar, count, duration, labelled, paragraph, table

EXAMPLE = "kubectl gmeta status movies -n team-a"

DEFAULT_LIMIT = FaultToleranceSpec().backoff_limit
JOB_COLUMNS = ("NAME", "STATE", "REASON", "WORKERS", "RESTARTS", "STEP", "PROGRESS", "LEFT", "AGE")
POD_COLUMNS = ("WORKER", "POD", "NODE", "PHASE", "READY", "INCARNATION", "AGE")
CONDITION_COLUMNS = ("CONDITION", "STATUS", "REASON", "MESSAGE")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("job", nargs="?", metavar="JOB", help="name of a job; without it all jobs are listed")
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="list the jobs of all namespaces")


def run(options: argparse.Namespace, kubectl: Kubectl) -> Iterable[str]:
    """The lines to be printed."""
    now = datetime.now(UTC)
    if options.job is None:
        jobs = [Job(each) for each in kubectl.jobs(everywhere=options.all_namespaces)]
        return overview(jobs, now, everywhere=options.all_namespaces)
    job = Job(kubectl.job(options.job))
    return page(job, [Pod(each) for each in kubectl.pods(job.name)], now)


def overview(jobs: Iterable[Job], now: datetime, *, everywhere: bool) -> list[str]:
    """A table of jobs."""
    rows = [(*((job.namespace,) if everywhere else ()), *_job_row(job, now)) for job in jobs]
    if not rows:
        return ["No jobs found."]
    return table((*(("NAMESPACE",) if everywhere else ()), *JOB_COLUMNS), rows)


def page(job: Job, pods: Iterable[Pod], now: datetime) -> list[str]:
    """Everything that is known of a job."""
    workers = [pod for pod in newest(pods) if pod.role == "worker"]
    return [
        *labelled(_facts(job, now)),
        "",
        *(table(POD_COLUMNS, [_pod_row(pod, now) for pod in workers]) if workers else ["No worker pods."]),
        *_conditions(job),
        "",
        *paragraph(
            f"`kubectl gmeta why {job.name} -n {job.namespace}` explains the state; so does {page_of(job.state)}."
        ),
    ]


def seconds_left(status: Mapping[str, Any]) -> float | None:
    """Seconds until the last step at the present speed, from rows a step so far; None where that is not known."""
    progress = part(status, "progress")
    steps, total = progress.get("step"), progress.get("totalSteps")
    samples, speed = progress.get("samples"), progress.get("samplesPerSecond")
    if not steps or not total or not samples or not speed:
        return None
    return float(max(0, total - steps) * samples / steps / speed)


def _job_row(job: Job, now: datetime) -> tuple[str, ...]:
    workers, restarts, progress = (part(job.status, name) for name in ("workers", "restarts", "progress"))
    percent = progress.get("percent")
    return (
        job.name,
        job.state or UNKNOWN,
        job.reason or UNKNOWN,
        f"{workers.get('ready', 0)}/{workers.get('desired', part(job.spec, 'workers').get('replicas', 1))}",
        str(restarts.get("counted", 0)),
        _shown(progress.get("step")),
        UNKNOWN if percent is None else f"{percent}%",
        _left(job) or UNKNOWN,
        age(job.resource["metadata"].get("creationTimestamp"), now),
    )


def _pod_row(pod: Pod, now: datetime) -> tuple[str, ...]:
    ready = "yes" if pod.ready else "no"
    return (str(pod.index), pod.name, pod.node or UNKNOWN, pod.phase, ready, str(pod.number[1]), age(pod.created, now))


def _facts(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Job", f"{job.namespace}/{job.name}, {age(job.resource['metadata'].get('creationTimestamp'), now)} old"
    yield "State", f"{job.title}{': ' if job.sentence else ''}{job.sentence}"
    yield "Progress", _progress(job)
    yield "Quality", _quality(part(job.status, "progress"))
    yield "Checkpoint", _checkpoint(job)
    yield "Workers", _workers(job)
    yield "Restarts", _restarts(job)
    yield "Failure", failure_words(part(job.status, "lastFailure"), now)
    for node in job.status.get("avoidedNodes", ()):
        yield "Avoided", f"{node.get('node')} until {_shown(node.get('until'))}: {_shown(node.get('reason'))}"
    yield "Goodput", _goodput(part(job.status, "goodput"))


def _progress(job: Job) -> str:
    progress = part(job.status, "progress")
    if "step" not in progress:
        return ""
    percent, total, speed = (progress.get(name) for name in ("percent", "totalSteps", "samplesPerSecond"))
    share = "" if percent is None else f"{bar(percent)} {percent}%, "
    steps = f"step {progress['step']:,}" + ("" if total is None else f" of {total:,}")
    rate = "" if speed is None else f", {speed:,.0f} samples/s"
    return f"{share}{steps}{rate}{', about ' + _left(job) + ' left' if _left(job) else ''}"


def _left(job: Job) -> str:
    seconds = seconds_left(job.status) if job.state == "Running" else None
    return "" if seconds is None else duration(seconds)


def _quality(progress: Mapping[str, Any]) -> str:
    figures = (("loss", "loss"), ("AUC", "auc"), ("GAUC", "gauc"))
    return ", ".join(f"{label} {progress[name]:.4f}" for label, name in figures if name in progress)


def _checkpoint(job: Job) -> str:
    """Where the newest commit is, and how much work came after it; the status does not tell its time."""
    commit, progress = part(job.status, "lastCheckpoint"), part(job.status, "progress")
    if not commit:
        return "none yet" if "step" in progress else ""
    place = f" in {commit['path']}" if commit.get("path") else ""
    since = max(0, progress.get("step", commit.get("step", 0)) - commit.get("step", 0))
    if since == 0:
        return f"step {commit.get('step', 0):,}{place}, nothing came after it"
    left, total = seconds_left(job.status), progress.get("totalSteps", 0) - progress.get("step", 0)
    worth = f" (about {duration(since * left / total)} of work)" if left and total > 0 else ""
    return f"step {commit.get('step', 0):,}{place}, {count(since, 'step')} ago{worth}"


def _workers(job: Job) -> str:
    counts = part(job.status, "workers")
    return f"{counts.get('ready', 0)} of {counts.get('desired', 0)} ready" if counts else ""


def _restarts(job: Job) -> str:
    """Restarts so far; where the operator tells how many came in a row without a commit, the limit is for those."""
    counts, limit = part(job.status, "restarts"), part(job.spec, "faultTolerance").get("backoffLimit", DEFAULT_LIMIT)
    if not counts:
        return ""
    row, counted = counts.get("withoutProgress"), f"{counts.get('counted', 0)} counted"
    bounded = (
        f"{counted} of at most {limit}" if row is None else f"{counted} ({row} of at most {limit} without a commit)"
    )
    attempt = f"; attempt {job.status['attempt']}" if "attempt" in job.status else ""
    return f"{bounded}, {counts.get('uncounted', 0)} uncounted{attempt}"


def _conditions(job: Job) -> list[str]:
    names = ("type", "status", "reason", "message")
    rows = [tuple(str(each.get(name, "")) for name in names) for each in job.conditions]
    return ["", *table(CONDITION_COLUMNS, rows)] if rows else []


def _goodput(goodput: Mapping[str, Any]) -> str:
    """The productive share of the time, and what the rest was lost to, most first."""
    if "ratio" not in goodput:
        return ""
    losses = sorted(part(goodput, "lostSeconds").items(), key=lambda loss: -loss[1])
    lost = ", ".join(f"{cause} {duration(seconds)}" for cause, seconds in losses if seconds >= 1)
    return f"{goodput['ratio']:.0%} of the time brought the job forward{lost and '; lost to ' + lost}"


def _shown(value: object) -> str:
    return UNKNOWN if value is None else str(value)
