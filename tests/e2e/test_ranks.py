"""Workers that train as one on a real cluster: together, without some of them, more and fewer of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs, Status, condition
from e2e_node import NodeAgent
from e2e_ranks import Ranks
from job_events import events_of
from local_job import LocalJob
from restart_counts import restarts
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 600
TRAINING = {"epochs": EPOCHS, "evaluation": {"everyEpochs": EPOCHS, "shots": [1, 4]}}
"""Minutes of training whose end can still be waited for."""
COMMITS = {"everySteps": 50}
END_SECONDS = 500
NEXT_STEP_SECONDS = 9.0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> LocalJob:
    """The small job, run here with three workers."""
    local = LocalJob(tmp_path_factory.mktemp("alone"))
    code, output = local.run("--workers", "3")
    assert code == 0, output
    return local


def aucs(events: list[dict[str, float]]) -> list[float]:
    return [each["auc"] for each in events]


def trained(local: LocalJob) -> int:
    """Samples of an epoch."""
    newest = local.events("shard_written")[-1]["ledger"]
    return int(newest["samples"]) // int(newest["epoch"])


def ready(count: int) -> "dict[str, int]":
    return {"desired": count, "ready": count}


def succeeded(jobs: Jobs, name: str, status: Status) -> None:
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe(name)
    assert status["progress"]["percent"] == 100
    assert status["attempt"] == 0


def test_three_workers_get_the_auc_of_a_local_run(jobs: Jobs, alone: LocalJob) -> None:
    jobs.submit("three", workers={"replicas": 3})
    status = jobs.wait("three", "three workers", lambda status: status.get("workers") == ready(3), 180)
    assert condition(status, "WorkersReady")[:2] == ("True", "Running")
    scale = jobs.cluster.raw(f"/apis/gmeta.dev/v1alpha1/namespaces/{jobs.namespace}/metatrainingjobs/three/scale")
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (3, 3)
    succeeded(jobs, "three", jobs.wait_for_end("three", END_SECONDS))
    ranks = Ranks(jobs, "three")
    assert ranks.rounds() == [(1, [0, 1, 2])]
    assert aucs(ranks.events("evaluation")) == pytest.approx(aucs(events_of(alone.run_folder, "evaluation")), abs=1e-9)
    assert ranks.samples() == 2 * trained(alone)


def test_a_killed_rank_starts_again_in_its_pod_and_a_killed_coordinator_ends_none(
    jobs: Jobs, agent: NodeAgent, alone: LocalJob
) -> None:
    jobs.submit("ranks", workers={"replicas": 3}, training=TRAINING, checkpoint=COMMITS)
    ranks = Ranks(jobs, "ranks")
    first = ranks.wait_for_steps_of([0, 1, 2])
    before = {name: pod["metadata"]["uid"] for name, pod in jobs.pods("ranks").items()}
    (victim,) = ranks.pids("ranks-w1-0")
    killed = ranks.kill(victim)
    second = ranks.wait_for_steps_of([0, 1, 2], after=first)
    assert second == first + 1
    assert ranks.first_step(second) - killed < NEXT_STEP_SECONDS
    assert {name: pod["metadata"]["uid"] for name, pod in jobs.pods("ranks").items()} == before
    assert restarts(jobs.status("ranks")) == (0, 0)
    assert ranks.events("formed")[-1]["reason"] == "rank 1 (worker 1) ended with exit code 137"

    workers = [name for name in before if "-w" in name]
    pids = {name: ranks.pids(name) for name in workers}
    commits = len(ranks.events("shard_written"))
    agent.kill("ranks-coordinator-0", jobs.namespace)
    jobs.wait("ranks", "next coordinator", lambda status: status.get("restarts", {}).get("counted") == 1)
    wait_for("a commit with the new coordinator", lambda: len(ranks.events("shard_written")) > commits, 150)
    assert {name: ranks.pids(name) for name in workers} == pids
    assert ranks.rounds()[-1][0] == second
    status = jobs.wait_for_end("ranks", END_SECONDS)
    succeeded(jobs, "ranks", status)
    assert restarts(status) == (1, 0)
    assert sorted(jobs.pods("ranks")) == sorted([*before, "ranks-coordinator-1"])
    assert ranks.samples() == EPOCHS * trained(alone)


def test_a_job_is_scaled_up_and_down(jobs: Jobs, alone: LocalJob) -> None:
    elastic = {"replicas": 1, "minReplicas": 1, "maxReplicas": 3}
    jobs.submit("scaled", workers=elastic, training=TRAINING, checkpoint=COMMITS)
    ranks = Ranks(jobs, "scaled")
    first = ranks.wait_for_steps_of([0])
    jobs.kubectl("scale", "mtj", "scaled", "--replicas=3")
    jobs.wait("scaled", "three workers", lambda status: status["workers"] == ready(3), 150)
    second = ranks.wait_for_steps_of([0, 1, 2], after=first)
    jobs.kubectl("scale", "mtj", "scaled", "--replicas=1")
    jobs.wait("scaled", "one worker", lambda status: status["workers"] == ready(1), 150)
    third = ranks.wait_for_steps_of([0], after=second)
    assert (second, third) == (first + 1, second + 1)
    status = jobs.wait_for_end("scaled", END_SECONDS)
    succeeded(jobs, "scaled", status)
    assert status["restarts"]["counted"] == 0
    assert "lastFailure" not in status
    assert ranks.samples() == EPOCHS * trained(alone)


def test_a_job_whose_replicas_all_count_goes_on_when_it_is_scaled_down(jobs: Jobs) -> None:
    jobs.submit("fewer", workers={"replicas": 2}, training=TRAINING, checkpoint=COMMITS)
    ranks = Ranks(jobs, "fewer")
    first = ranks.wait_for_steps_of([0, 1])
    jobs.kubectl("scale", "mtj", "fewer", "--replicas=1")
    assert ranks.wait_for_steps_of([0], after=first) == first + 1


def test_a_worker_whose_node_is_lost_comes_back_on_another(
    jobs: Jobs, agent: NodeAgent, cluster: Cluster, small_data: Path, alone: LocalJob
) -> None:
    nodes = sorted(name.removeprefix("node/") for name in cluster.names("nodes"))
    if cluster.script is None or len(nodes) < 2:
        unavailable("a node cannot be lost: set GMETA_TEST_CLUSTER to the control script of a cluster of two nodes")
    doomed = next(node for node in nodes if node != agent.node)
    jobs.claim("shared", everywhere=True)
    jobs.claim("input", small_data, everywhere=True)
    elastic = {"replicas": 1, "minReplicas": 1, "maxReplicas": 2}
    faults = {"heartbeatSeconds": 10}
    volumes = {"runs": "shared", "data": "input"}
    with cordoned(cluster, doomed):
        jobs.submit("moved", volumes, workers=elastic, training=TRAINING, checkpoint=COMMITS, faultTolerance=faults)
        jobs.wait_for_running("moved")
    with cordoned(cluster, agent.node):
        jobs.kubectl("scale", "mtj", "moved", "--replicas=2")
        jobs.wait("moved", "two workers", lambda status: status["workers"] == ready(2), 150)
    assert jobs.pods("moved")["moved-w1-1"]["spec"]["nodeName"] == doomed
    ranks = Ranks(jobs, "moved", claim="shared")
    together = ranks.wait_for_steps_of([0, 1])
    with lost(cluster, doomed):
        status = jobs.wait("moved", "replacement", lambda status: status["restarts"]["uncounted"] == 2, 240)
        assert status["restarts"]["counted"] == 0
        assert status["lastFailure"]["pod"] == "moved-w1-1"
        assert (status["lastFailure"]["node"], status["lastFailure"]["class"]) == (doomed, "Infrastructure")
        assert jobs.pods("moved")["moved-w1-2"]["spec"]["nodeName"] == agent.node
        without = ranks.wait_for_steps_of([0], after=together)
        ranks.wait_for_steps_of([0, 1], after=without)
        succeeded(jobs, "moved", jobs.wait_for_end("moved", END_SECONDS))
    assert ranks.samples() == EPOCHS * trained(alone)


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Iterator[None]:
    """No new pod comes to a node while the block runs."""
    cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", node)


@contextmanager
def lost(cluster: Cluster, node: str) -> Iterator[None]:
    """A node is dead while the block runs."""
    cluster.node("stop", "--hard", node)
    try:
        yield
    finally:
        cluster.node("start", node)
        cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=50s")
