"""A real Prometheus scrapes a running job, and every query of the dashboard has an answer."""

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from local_job import LocalJob, process_tree, variables, wait_until

from gmeta_worker.local.site import free_ports

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "helm/gmeta/files/gmeta-job.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
VARIABLES = {"$__rate_interval": "20s", "$job_name": "small", "$namespace": "default"}

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


class Prometheus:
    """A Prometheus of the test's own."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("no prometheus on PATH: install Debian's package `prometheus`")
        scrape = {"job_name": "gmeta", "scrape_interval": "1s", "static_configs": [{"targets": targets}]}
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
        port = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )

    def ready(self) -> bool:
        """Whether it takes queries."""
        try:
            return httpx.get(f"{self.address}/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def answers(self, query: str) -> bool:
        """Whether a query has a number as its answer now."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": query})
        assert answer.status_code == httpx.codes.OK, f"{query}: {answer.text}"
        series: list[dict[str, Any]] = answer.json()["data"]["result"]
        return any(math.isfinite(float(found["value"][1])) for found in series)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def substituted(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def test_every_query_of_the_dashboard_has_data(job: LocalJob, tmp_path: Path) -> None:
    job.start(settings=("spec.training.epochs=2000",))
    wait_until(lambda: len(job.events("shard_written")) > 0, "the first commit")
    prometheus = Prometheus(tmp_path, endpoints(job))
    missing = QUERIES

    def all_answered() -> bool:
        nonlocal missing
        missing = [(title, query) for title, query in missing if not prometheus.answers(substituted(query))]
        return missing == []

    try:
        wait_until(prometheus.ready, "Prometheus")
        wait_until(all_answered, f"{len(QUERIES)} queries to have data, in vain for some")
    except AssertionError:
        pytest.fail(f"Prometheus has no data for {missing}")
    finally:
        prometheus.stop()
