"""A real Prometheus scrapes a job that runs on this machine, and every query of the dashboard about jobs has data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_job import LocalJob, process_tree, variables, wait_until
from prometheus import QUERIES, Prometheus

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


def test_every_query_about_jobs_has_data(job: LocalJob, tmp_path: Path) -> None:
    job.start(settings=("spec.training.epochs=2000",))
    wait_until(lambda: len(job.events("shard_written")) > 0, "the first commit")
    static = {"job_name": "gmeta", "scrape_interval": "1s", "static_configs": [{"targets": endpoints(job)}]}
    with Prometheus(tmp_path, [static]) as prometheus:
        prometheus.wait_for_data(OF_JOBS, "small", "default")
