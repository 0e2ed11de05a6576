"""The coordinator's Prometheus metrics: the status document as `gmeta_job_*`."""

import math
from collections.abc import Callable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gmeta_worker.coordination.messages import Cause, Outcome
from gmeta_worker.coordination.status import ProgressStatus, Status

STATES: tuple[str, ...] = ("pending", "running", *get_args(Outcome))

JOB_GAUGES: tuple[tuple[str, str, Callable[[Status], float]], ...] = (
    ("attempt", "The job's attempt.", lambda status: status.attempt),
    ("generation", "Generation of the membership.", lambda status: status.generation),
    ("workers", "Workers in the current generation that are alive.", lambda status: len(status.workers)),
    ("world_size", "Ranks of the current generation.", lambda status: status.world_size),
    ("commits", "Commits made in this attempt.", lambda status: status.commits),
    (
        "commit_step",
        "Global step of the newest commit.",
        lambda status: status.commit.step if status.commit else math.nan,
    ),
)

PROGRESS_GAUGES: tuple[tuple[str, str, Callable[[ProgressStatus], float]], ...] = (
    ("epoch", "Epochs completed.", lambda progress: progress.epoch),
    ("step", "Global steps completed.", lambda progress: progress.step),
    ("steps_planned", "Global steps of the whole run.", lambda progress: progress.total_steps),
    ("samples", "Rows consumed, support and query.", lambda progress: progress.samples),
    ("samples_per_second", "Rows consumed a second, lately.", lambda progress: progress.samples_per_second),
    ("tasks_per_second", "Task batches consumed a second, lately.", lambda progress: progress.tasks_per_second),
    ("loss", "Outer loss of the last reported step.", lambda progress: progress.loss),
    ("auc", "AUC of the last evaluation, the mean over its shots.", lambda progress: progress.auc),
    (
        "input_wait_ratio",
        "Share of the time that steps waited for input, lately.",
        lambda progress: progress.input_wait_share,
    ),
)


class StatusCollector(Collector):
    """Collects the metrics of one status document."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._labels = {"job_name": status.job.name, "namespace": status.job.namespace}

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield one family a number; a number that is not known yet has no sample."""
        progress = self._status.progress
        for name, text, job_value in JOB_GAUGES:
            yield self._gauge(name, text, job_value(self._status))
        for name, text, value in PROGRESS_GAUGES:
            yield self._gauge(name, text, value(progress) if progress else math.nan)
        yield self._state()
        yield self._restarts()
        yield from self._goodput()

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"gmeta_job_{name}", text, labels=list(self._labels))
        if not math.isnan(value):
            family.add_metric(list(self._labels.values()), value)
        return family

    def _state(self) -> GaugeMetricFamily:
        labels = [*self._labels, "state"]
        family = GaugeMetricFamily("gmeta_job_state", "1 for the state that the job is in, else 0.", labels=labels)
        for name in STATES:
            family.add_metric([*self._labels.values(), name], float(self._status.state == name))
        return family

    def _restarts(self) -> GaugeMetricFamily:
        labels = [*self._labels, "cause"]
        text = "Generations of this attempt that have ended, by cause."
        family = GaugeMetricFamily("gmeta_job_restarts", text, labels=labels)
        for cause in get_args(Cause):
            family.add_metric([*self._labels.values(), cause], self._status.restarts.get(cause, 0))
        return family

    def _goodput(self) -> Iterator[CounterMetricFamily]:
        goodput, names, values = self._status.goodput, list(self._labels), list(self._labels.values())
        text = "Seconds of work that has brought the job forward."
        productive = CounterMetricFamily("gmeta_job_productive_seconds", text, labels=names)
        productive.add_metric(values, goodput.productive_seconds)
        yield productive
        text = "Seconds in which the job was not brought forward, by cause."
        lost = CounterMetricFamily("gmeta_job_lost_seconds", text, labels=[*names, "cause"])
        for cause, seconds in goodput.lost_seconds.items():
            lost.add_metric([*values, cause], seconds)
        yield lost


def exposition(status: Status) -> bytes:
    """Return the metrics of a status document in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(status))
    return generate_latest(registry)
