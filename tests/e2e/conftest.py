"""The real cluster: `GMETA_TEST_CLUSTER` is its control script, `GMETA_TEST_WORKER_IMAGE` a worker image that it has.

The operator runs beside the cluster, as this checkout has it; the jobs run in pods.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_cluster import Cluster, Jobs, Operator

IMAGE = os.environ.get("GMETA_TEST_WORKER_IMAGE", "gmeta-worker:e2e")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    script = os.environ.get("GMETA_TEST_CLUSTER")
    if not script:
        pytest.skip("GMETA_TEST_CLUSTER is not set: the path of a script that starts a cluster")
    result = Cluster(Path(script))
    result.up()
    return result


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    running = Operator(cluster, IMAGE, tmp_path / "operator.log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def jobs(cluster: Cluster, operator: Operator, tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(cluster, f"e2e-{uuid.uuid4().hex[:8]}", tmp_path)
    made.prepare_volumes()
    yield made
    made.clean()
