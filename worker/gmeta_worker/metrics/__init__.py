"""Prometheus metrics of a worker."""

from gmeta_worker.metrics.worker import WorkerMetrics

__all__ = ["WorkerMetrics"]
