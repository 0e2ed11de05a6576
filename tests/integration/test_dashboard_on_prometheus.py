"""A real Prometheus scrapes a job that runs on this machine, and every query of the dashboard about jobs has data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
import pytest
from local_job import LocalJob, process_tree, variables, wait_until
from prometheus import QUERIES, Prometheus

from gmeta_operator.metrics import OperatorMetrics

OF_JOBS = [(title, query) for title, query in QUERIES if "gmeta_operator_" not in query]

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(tmp_path)
    yield job
    job.stop()


def endpoints(job: LocalJob) -> list[str]:
    """Where the job's coordinator and worker serve metrics."""
    told = variables(process_tree(job.started[0].pid).agents[0])
    return [told["GMETA_COORDINATOR"].removeprefix("http://"), f"127.0.0.1:{told['GMETA_METRICS_PORT']}"]


@contextmanager
def operator() -> Iterator[str]:
    """Where an operator that knows of an exported job and of this one would serve its metrics."""
    export = {"volume": "runs", "path": "a", "step": 5, "created": "2026-01-02T12:00:00Z"}
    jobs = (
        {"metadata": {"namespace": "default", "name": "nightly"}, "status": {"export": export}},
        {"metadata": {"namespace": "default", "name": "small"}, "status": {"goodput": {"productiveSeconds": 9}}},
    )
    metrics = OperatorMetrics()
    metrics.show_jobs(lambda: jobs)
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", metrics.registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_every_query_about_jobs_has_data(job: LocalJob, tmp_path: Path) -> None:
    job.start(settings=("spec.training.epochs=2000",))
    wait_until(lambda: len(job.events("shard_written")) > 0, "the first commit")
    with operator() as of_operator:
        targets = [*endpoints(job), of_operator]
        static = {"job_name": "gmeta", "scrape_interval": "1s", "static_configs": [{"targets": targets}]}
        with Prometheus(tmp_path, [static]) as prometheus:
            prometheus.wait_for_data(OF_JOBS, "small", "default")
