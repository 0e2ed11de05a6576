"""Pods that ask for GPUs, on a node that says it has some. The scheduler counts them; nobody computes on them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e_cluster import Cluster
from e2e_jobs import Jobs, condition
from e2e_node import NodeAgent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GPU = "nvidia.com/gpu"
DEFAULT_SHM_BYTES = 64 << 20
# There is nothing to compute on, so a program that only waits stands in the worker's place.
STAND_IN = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
signal.pause()
"""


@pytest.fixture
def set_gpus(cluster: Cluster, agent: NodeAgent) -> Iterator[Callable[[int], None]]:
    """Sets how many GPUs the agent's node says it has."""

    def patch(operation: str, **value: str) -> None:
        paths = (f"/status/{of}/nvidia.com~1gpu" for of in ("capacity", "allocatable"))
        changes = [{"op": operation, "path": path, **value} for path in paths]
        what = ("node", agent.node, "--subresource=status", "--type=json")
        cluster.kubectl("patch", *what, "--patch", json.dumps(changes))

    def set_to(count: int) -> None:
        patch("add", value=str(count))

    yield set_to
    patch("remove")


def test_two_of_three_workers_get_a_gpu_and_the_third_says_what_it_waits_for(
    cluster: Cluster, jobs: Jobs, set_gpus: Callable[[int], None], tmp_path: Path
) -> None:
    (tmp_path / "gmeta_worker").mkdir()
    (tmp_path / "gmeta_worker/__main__.py").write_text(STAND_IN)
    jobs.claim("code", tmp_path)
    set_gpus(2)
    jobs.submit(
        "gpus",
        {"code": "code"},
        workers={
            "replicas": 3,
            "resources": {"limits": {GPU: 1}},
            "env": [{"name": "PYTHONPATH", "value": "/volumes/code"}, {"name": "NCCL_DEBUG", "value": "INFO"}],
        },
    )
    nodes = len(cluster.names("nodes"))
    words = f"gpus-w2-0: 0/{nodes} nodes are available: {nodes} Insufficient {GPU}."
    status = jobs.wait("gpus", "two workers", lambda status: status.get("workers", {}).get("ready") == 2)
    assert (status["state"], status["reason"]) == ("Pending", "Unschedulable")
    assert condition(status, "WorkersReady") == ("False", "Unschedulable", f"2 of 3 running; {words}")
    jobs.wait("gpus", "event", lambda _: jobs.has_warned("gpus", "Unschedulable", f"Pending: {words}"))
    assert status["workers"] == {"desired": 3, "ready": 2}

    what = ("stat", "--file-system", "--format=%T %b %S", "/dev/shm")
    kind, blocks, block_bytes = jobs.kubectl("exec", "gpus-w0-0", "--", *what).split()
    assert (kind, int(blocks) * int(block_bytes) > DEFAULT_SHM_BYTES) == ("tmpfs", True)
    assert jobs.kubectl("exec", "gpus-w0-0", "--", "printenv", "NCCL_DEBUG").strip() == "INFO"

    set_gpus(3)
    status = jobs.wait("gpus", "third worker", lambda status: status["workers"]["ready"] == 3)
    assert condition(status, "WorkersReady") == ("True", "Running", "3 of 3 running")
