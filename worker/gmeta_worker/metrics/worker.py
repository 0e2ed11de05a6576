"""A worker's Prometheus metrics."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from gmeta_api.errors import GMetaError
from gmeta_worker.metrics.running_total import RunningTotals

LABELS = ("job_name", "namespace", "rank")
QUALITY_LABELS = ("split", "label", "shot", "adapted")
STALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COMMIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Quality(Protocol):
    """What is shown of an evaluation on one label at one shot."""

    @property
    def label(self) -> str:
        """Name of the label."""

    @property
    def shot(self) -> int:
        """Support rows a task was given."""

    @property
    def adapted(self) -> bool:
        """Whether the model was adapted to them."""

    @property
    def auc(self) -> float:
        """Pooled AUC."""

    @property
    def gauc(self) -> float:
        """Mean AUC of the tasks."""


class WorkerMetrics:
    """The metrics of one rank in a registry of their own; one method for each thing that happens.

    Args:
        job_name: name of the job.
        namespace: namespace of the job.
        rank: rank of this process.
    """

    def __init__(self, job_name: str, namespace: str, rank: int) -> None:
        self.registry = CollectorRegistry()
        self._labels = (job_name, namespace, str(rank))
        self._samples = self._counter("samples", "Rows consumed, by set.", "set")
        self._tasks = self._counter("tasks", "Task batches consumed.")
        self._steps = self._counter("steps", "Steps completed.")
        self._step_seconds = RunningTotals(self._counter("step_seconds", "Exposed seconds, by phase.", "phase"))
        self._read_bytes = RunningTotals(self._counter("read_bytes", "Bytes read from the dataset."))
        self._wait_seconds = RunningTotals(
            self._counter("input_wait_seconds", "Seconds that steps have waited for input.")
        )
        self._queue_depth = self._gauge("input_queue_depth", "Step batches that are read ahead.")
        self._loss = self._gauge("loss", "Outer loss of the last step.")
        self._epoch = self._gauge("epoch", "Epochs completed.")
        self._auc = self._gauge("auc", "Pooled AUC of the last evaluation.", *QUALITY_LABELS)
        self._gauc = self._gauge("gauc", "Mean AUC of the tasks, last evaluation.", *QUALITY_LABELS)
        self._commits = self._counter("commits", "Commits that this rank took part in.")
        self._commit_seconds = Histogram(
            "gmeta_commit_seconds",
            "Seconds from the start of a commit until the coordinator has made it.",
            LABELS,
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._commit_stall = Histogram(
            "gmeta_commit_stall_seconds",
            "Seconds that training has stood still for a commit.",
            LABELS,
            buckets=STALL_BUCKETS,
            registry=self.registry,
        )

    def step(self, *, tasks: int, support: int, query: int, loss: float, epoch: int) -> None:
        """Count one step: its task batches, support and query rows, its outer loss, and the epochs completed."""
        self._samples.labels(*self._labels, "support").inc(support)
        self._samples.labels(*self._labels, "query").inc(query)
        self._tasks.labels(*self._labels).inc(tasks)
        self._steps.labels(*self._labels).inc()
        self._loss.labels(*self._labels).set(loss)
        self._epoch.labels(*self._labels).set(epoch)

    def phases(self, seconds: Mapping[str, float]) -> None:
        """Take over the running totals of exposed seconds by phase."""
        for phase, total in seconds.items():
            self._step_seconds.follow((*self._labels, phase), total)

    def input(self, bytes_read: int, queue_depth: int, wait_seconds: float) -> None:
        """Take over the reader's running totals, and how many step batches it has ready."""
        self._read_bytes.follow(self._labels, bytes_read)
        self._wait_seconds.follow(self._labels, wait_seconds)
        self._queue_depth.labels(*self._labels).set(queue_depth)

    def evaluation(self, split: str, rows: Iterable[Quality]) -> None:
        """Show the quality on a split, by shot, adapted and un-adapted."""
        for row in rows:
            labels = (*self._labels, split, row.label, str(row.shot), str(row.adapted).lower())
            self._auc.labels(*labels).set(row.auc)
            self._gauc.labels(*labels).set(row.gauc)

    def commit(self, seconds: float, stall: float) -> None:
        """Count a commit that took so many seconds, for `stall` of which training stood still."""
        self._commits.labels(*self._labels).inc()
        self._commit_seconds.labels(*self._labels).observe(seconds)
        self._commit_stall.labels(*self._labels).observe(stall)

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Serve the metrics over HTTP on `port`, all addresses; port 0 serves nothing.

        Raises:
            GMetaError: the port is taken.
        """
        if port == 0:
            yield
            return
        try:
            server, thread = start_http_server(port, registry=self.registry)
        except OSError as error:
            raise GMetaError(
                f"port {port}: the metrics cannot be served there ({error.strerror}); "
                "set GMETA_METRICS_PORT to a free port, or to 0 for no metrics"
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"gmeta_{name}", text, (*LABELS, *labels), registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"gmeta_{name}", text, (*LABELS, *labels), registry=self.registry)
