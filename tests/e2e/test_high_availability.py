"""What happens to jobs on a real cluster while operators and the API server come and go."""

import random
import time
from collections.abc import Iterator

import pytest
from e2e_cluster import Cluster, wait_for
from e2e_jobs import Jobs, Status, condition
from e2e_node import NodeAgent
from e2e_ranks import Ranks
from e2e_release import Release
from local_job import LocalJob
from restart_counts import restarts
from unavailable import unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 600
TRAINING = {"epochs": EPOCHS, "evaluation": {"everyEpochs": EPOCHS, "shots": [1, 4]}}
COMMITS = {"everySteps": 50}
END_SECONDS = 500

TAKE_OVER_SECONDS = 20.0
HAND_OVER_SECONDS = 5.0
OUTAGE_SECONDS = 60


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Samples that the small job learns from when it trains to its end and nothing happens."""
    local = LocalJob(tmp_path_factory.mktemp("alone"))
    code, output = local.run("--workers", "2")
    assert code == 0, output
    newest = local.events("shard_written")[-1]["ledger"]
    return EPOCHS * int(newest["samples"]) // int(newest["epoch"])


@pytest.fixture
def two(operator: Release) -> Iterator[Release]:
    """Two operators."""
    with operator.replicas(2):
        yield operator


def train(jobs: Jobs, name: str) -> tuple[Ranks, int]:
    """A job of two workers, which one alone goes on with, in mid-run; the generation of their round."""
    workers = {"replicas": 2, "minReplicas": 1, "maxReplicas": 2}
    faults = {"heartbeatSeconds": 10}
    jobs.submit(name, workers=workers, training=TRAINING, checkpoint=COMMITS, faultTolerance=faults)
    ranks = Ranks(jobs, name)
    return ranks, ranks.wait_for_steps_of([0, 1])


def assert_completed(jobs: Jobs, name: str, counted: int) -> Status:
    status = jobs.wait_for_end(name, END_SECONDS)
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe(name)
    assert restarts(status) == (counted, 0)
    assert (status["progress"]["percent"], status["attempt"]) == (100, 0)
    assert condition(status, "Succeeded")[:2] == ("True", "Completed")
    return status


def test_a_standby_takes_over_from_a_leader_that_is_frozen_killed_or_told_to_end(
    jobs: Jobs, agent: NodeAgent, two: Release, samples: int
) -> None:
    ranks, first = train(jobs, "led")
    epoch = jobs.status("led")["leaderEpoch"]
    assert epoch == two.lease()["leaseTransitions"]

    frozen, stopped = two.leader(), agent.now()
    agent.signal(frozen, two.namespace, "STOP")
    agent.kill("led-w1-0", jobs.namespace)
    assert two.wait_for_next_leader(epoch) - stopped < TAKE_OVER_SECONDS
    assert two.leader() != frozen
    status = jobs.wait("led", "replacement", lambda status: status["restarts"]["counted"] == 1)
    assert (status["lastFailure"]["pod"], status["lastFailure"]["exitCode"]) == ("led-w1-0", 137)
    words = "Restarting: led-w1-0 ended with exit code 137 (Killed)"
    assert jobs.has_warned("led", "Killed", words), jobs.events("led")
    assert status["leaderEpoch"] == epoch + 1
    agent.signal(frozen, two.namespace, "CONT")
    ending = "gmeta-operator: it leads no more and ends: "
    wait_for("the end of the one that was frozen", lambda: ending in two.last_words(frozen))

    killed = agent.now()
    agent.kill(two.leader(), two.namespace)
    assert two.wait_for_next_leader(epoch + 1) - killed < TAKE_OVER_SECONDS

    two.rolled_out()  # what was killed stands by again
    told = agent.now()
    two.cluster.kubectl("delete", "pod", leaving := two.leader(), "-n", two.namespace, "--wait=false")
    assert two.wait_for_next_leader(epoch + 2) - told < HAND_OVER_SECONDS
    assert two.leader() != leaving

    ranks.wait_for_steps_of([0, 1], after=first)
    status = assert_completed(jobs, "led", counted=1)
    assert status["leaderEpoch"] == epoch + 3
    assert sorted(jobs.pods("led")) == ["led-coordinator-0", "led-w0-0", "led-w1-0", "led-w1-1"]
    assert ranks.samples() == samples


def test_training_goes_on_while_the_api_server_stands_still_and_what_failed_is_replaced_afterwards(
    jobs: Jobs, agent: NodeAgent, cluster: Cluster, operator: Release, samples: int
) -> None:
    if cluster.script is None:
        unavailable("the API server cannot be stopped: set GMETA_TEST_CLUSTER to a cluster's control script")
    ranks, first = train(jobs, "cut-off")
    began = agent.now()
    agent.signal("cut-off-w1-0", jobs.namespace, "KILL", after=OUTAGE_SECONDS // 4)
    with cluster.paused("kube-apiserver"):
        time.sleep(OUTAGE_SECONDS)
    back = agent.now()
    commits = [each for each in ranks.times("shard_written") if began < each < back]
    assert max(commits) - began > OUTAGE_SECONDS / 2, "nothing is committed without the API server and a worker"
    status = jobs.wait("cut-off", "replacement", lambda status: status["restarts"]["counted"] == 1, 150)
    assert (status["lastFailure"]["pod"], status["lastFailure"]["class"]) == ("cut-off-w1-0", "Killed")
    ranks.wait_for_steps_of([0, 1], after=first)
    assert_completed(jobs, "cut-off", counted=1)
    assert sorted(jobs.pods("cut-off")) == [
        "cut-off-coordinator-0",
        "cut-off-w0-0",
        "cut-off-w1-0",
        "cut-off-w1-1",
    ]
    assert ranks.samples() == samples


def test_an_operator_that_is_killed_twenty_times_loses_nothing(
    jobs: Jobs, agent: NodeAgent, operator: Release, samples: int
) -> None:
    dice = random.Random(7)
    ranks, first = train(jobs, "hunted")
    for number in range(20):
        if number in (4, 12):
            agent.kill(f"hunted-w{number % 3 % 2}-0", jobs.namespace)
        time.sleep(dice.uniform(0, 10))
        operator.replace_pod(agent)
    status = jobs.wait("hunted", "both replacements", lambda status: status["restarts"]["counted"] == 2, 150)
    assert status["lastFailure"]["class"] == "Killed"
    ranks.wait_for_steps_of([0, 1], after=first)
    assert_completed(jobs, "hunted", counted=2)
    assert len(jobs.pods("hunted")) == 5
    assert ranks.samples() == samples


def test_operator_and_crd_are_upgraded_in_mid_run(jobs: Jobs, operator: Release, samples: int) -> None:
    ranks, _ = train(jobs, "carried")
    before = {name: pod["metadata"]["uid"] for name, pod in jobs.pods("carried").items()}
    former, epoch = operator.pod()["metadata"]["uid"], operator.lease()["leaseTransitions"]
    with operator.changed({"podAnnotations.upgraded": "yes"}):
        assert operator.pod()["metadata"]["uid"] != former
        assert operator.lease()["leaseTransitions"] == epoch + 1
        status = jobs.wait("carried", "word of the new operator", lambda status: status["leaderEpoch"] == epoch + 1)
        assert (status["state"], status["reason"]) == ("Running", "Training")
        assert_completed(jobs, "carried", counted=0)
    assert {name: pod["metadata"]["uid"] for name, pod in jobs.pods("carried").items()} == before
    assert ranks.rounds() == [(1, [0, 1])]
    assert ranks.samples() == samples
