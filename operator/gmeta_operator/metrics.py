"""The operator's Prometheus metrics; docs/metrics.md lists them."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gmeta_operator.client import ApiError
from gmeta_operator.goodput_metrics import GoodputOfJobs
from gmeta_operator.timestamps import from_text

STATES = ("Pending", "Preparing", "Running", "Restarting", "Suspended", "Succeeded", "Failed")
OTHER = "Other"
"""Any other state: whoever may write a job's status must not choose how many series there are."""

PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
START_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

Resource = Mapping[str, Any]


class OperatorMetrics:
    """The operator's metrics in a registry of their own; one method for each thing that happens."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._passes = self._histogram("reconcile_seconds", "Seconds of a pass over a job.", PASS_BUCKETS)
        self._errors = self._counter("reconcile_errors", "Passes that have failed; each is tried again.", "cause")
        self._waits = self._histogram("queue_seconds", "Seconds that a job has waited for its pass.", PASS_BUCKETS)
        self._starts = self._histogram(
            "pods_created_seconds", "Seconds from a job's first sight until its first pods are made.", START_BUCKETS
        )
        self._requests = self._counter(
            "api_requests", "Requests to the API server, without the watches.", "verb", "resource", "code"
        )
        self._polls = self._counter("polls", "Times that a coordinator was asked for its status.", "outcome")
        self._restarts = self._counter("restarts", "Restarts within jobs.", "kind")
        self._ends = self._counter("jobs_ended", "Jobs that have ended.", "state", "reason")
        self._last_event = self._gauge(
            "watch_last_event_timestamp_seconds", "Unix time of the last event of a watch.", "resource"
        )

        self._begin_at_zero()

    def show_process(self) -> None:
        """Add the standard metrics of the process and of Python."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def show_jobs(self, jobs: Callable[[], Iterable[Resource]]) -> None:
        """Add the jobs by state, when their exports were made, and their goodput; looked up at every scrape."""
        self.registry.register(_JobsByState(jobs))
        self.registry.register(_Exports(jobs))
        self.registry.register(GoodputOfJobs(jobs))

    def show_queue(self, waiting: Callable[[], int], retrying: Callable[[], int]) -> None:
        """Add how many jobs wait for a pass, and of how many the last pass has failed."""
        self._gauge("queue_depth", "Jobs that wait for a pass.").set_function(waiting)
        self._gauge("queue_retrying", "Jobs whose last pass has failed.").set_function(retrying)

    def show_leadership(self, leading: Callable[[], bool]) -> None:
        """Add whether this operator leads."""
        self._gauge("leader", "1 for the operator that leads, 0 for one that stands by.").set_function(leading)

    @contextmanager
    def reconciling(self, waited: float) -> Iterator[None]:
        """Time a pass over a job that has waited so many seconds for it, and count the pass if it fails."""
        self._waits.observe(waited)
        with self._passes.time():
            try:
                yield
            except Exception as error:
                self._errors.labels("api" if isinstance(error, ApiError) else "internal").inc()
                raise

    def pods_created(self, seconds: float) -> None:
        """A job's first pods are made, so many seconds after the job was first seen."""
        self._starts.observe(seconds)

    def requested(self, verb: str, resource: str, code: int) -> None:
        """Count a request to the API server; code 0: there was no answer."""
        self._requests.labels(verb, resource, str(code)).inc()

    def polled(self, *, answered: bool) -> None:
        """Count a question to a coordinator."""
        self._polls.labels("answered" if answered else "failed").inc()

    def heard(self, resource: str) -> None:
        """Note that a watch tells something."""
        self._last_event.labels(resource).set_to_current_time()

    def status_written(self, before: Resource, after: Resource) -> None:
        """Count the restarts and the end that one status has and the one before it had not."""
        for kind in ("counted", "uncounted"):
            more = after.get("restarts", {}).get(kind, 0) - before.get("restarts", {}).get(kind, 0)
            self._restarts.labels(kind).inc(max(0, more))
        if "completionTime" in after and "completionTime" not in before:
            self._ends.labels(after["state"], after["reason"]).inc()

    def _begin_at_zero(self) -> None:
        """Show what has not happened yet as zero: a rate needs a sample from before the first event."""
        for cause in ("api", "internal"):
            self._errors.labels(cause)
        for outcome in ("answered", "failed"):
            self._polls.labels(outcome)
        for kind in ("counted", "uncounted"):
            self._restarts.labels(kind)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gmeta_operator_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"gmeta_operator_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"gmeta_operator_{name}", text, buckets=buckets, registry=self.registry)


class _JobsByState(Collector):
    """Counts the jobs that are known, by the state in their status."""

    def __init__(self, jobs: Callable[[], Iterable[Resource]]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge, with a sample for each state."""
        counts = Tally(_state(job) for job in self._jobs())
        family = GaugeMetricFamily("gmeta_operator_jobs", "Jobs by the state in their status.", labels=["state"])
        for state in (*STATES, OTHER):
            family.add_metric([state], counts[state])
        yield family


class _Exports(Collector):
    """Tells when exports were made, as the jobs' status has it."""

    def __init__(self, jobs: Callable[[], Iterable[Resource]]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge, with a sample for each job that has exported."""
        labels = ["namespace", "job_name", "volume", "path"]
        text = "Unix time at which the newest export of a job was made."
        family = GaugeMetricFamily("gmeta_job_export_created_seconds", text, labels=labels)
        for job in self._jobs():
            export = job.get("status", {}).get("export")
            if export is not None and (created := from_text(export["created"])) is not None:
                name = job["metadata"]["namespace"], job["metadata"]["name"]
                family.add_metric([*name, export["volume"], export["path"]], created.timestamp())
        yield family


def _state(job: Resource) -> str:
    state: str = job.get("status", {}).get("state", "Pending")
    return state if state in STATES else OTHER
