"""Three workers in real processes, and what becomes of the job when some of them die, hang or are stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_job import LocalJob, alive, kill, process_tree, wait_until

LONG = (
    "spec.training.epochs=2000",
    "spec.training.evaluation.everyEpochs=2000",
    "spec.checkpoint.everySteps=20",
    "spec.faultTolerance.heartbeatSeconds=60",
)
NEXT_STEP_SECONDS = 9.0


class RunningJob:
    """A job of several workers that trains until it is stopped."""

    def __init__(self, folder: Path, *settings: str, workers: int = 3) -> None:
        self.job = LocalJob(folder)
        self.command = self.job.start("--workers", str(workers), settings=(*LONG, *settings))
        wait_until(lambda: len(self.job.events("shard_written")) > 0, "a commit", seconds=180)

    @property
    def rounds(self) -> int:
        return len(self.job.events("formed"))

    @property
    def generations(self) -> set[int]:
        """Those that have made steps."""
        return {each["generation"] for each in self.job.events("progress")}

    def next_step(self, rounds: int) -> None:
        """Wait for the first step of the round with this number."""
        wait_until(lambda: self.rounds >= rounds, f"round {rounds}", seconds=120)
        generation = self.job.events("formed")[rounds - 1]["generation"]
        wait_until(lambda: generation in self.generations, f"a step of generation {generation}", seconds=120)

    def stop(self) -> str:
        """As Ctrl-C does: the ranks commit first."""
        self.command.send_signal(signal.SIGINT)
        output, _ = self.command.communicate(timeout=120)
        assert self.command.returncode == 143, output
        return output

    def end(self) -> None:
        if self.command.poll() is None:
            self.command.send_signal(signal.SIGTERM)
            try:
                self.command.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                self.command.kill()


SHORT_SILENCE = "spec.faultTolerance.heartbeatSeconds=5"


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[RunningJob]:
    workers = RunningJob(tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def elastic(tmp_path: Path) -> Iterator[RunningJob]:
    workers = RunningJob(tmp_path, "spec.workers.minReplicas=2", SHORT_SILENCE)
    yield workers
    workers.end()


@pytest.mark.slow
def test_a_rank_and_the_coordinator_may_die(workers: RunningJob) -> None:
    before = process_tree(workers.command.pid)
    started = time.monotonic()
    kill(before.ranks[1][0])
    workers.next_step(2)
    seconds = time.monotonic() - started
    assert seconds < NEXT_STEP_SECONDS
    formed = workers.job.events("formed")[1]
    assert (formed["cause"], formed["reason"]) == ("failed", "rank 1 (worker 1) ended with exit code 137")
    assert formed["commit"]["step"] >= 20
    after = process_tree(workers.command.pid)
    assert after.agents == before.agents
    assert not set(after.ranks[0]) & set(before.ranks[0]), "all ranks begin again, from the commit"

    kill(after.coordinator)
    commits = len(workers.job.events("shard_written"))
    wait_until(lambda: len(workers.job.events("shard_written")) > commits, "a commit under the new coordinator")
    assert process_tree(workers.command.pid).ranks == after.ranks
    output = workers.stop()
    assert workers.rounds == 2
    assert workers.job.report["ending"]["outcome"] == "interrupted"
    committed = workers.job.events("shard_written")[-1]["step"]
    assert f"asked to stop; step {committed} is committed" in output


@pytest.mark.slow
def test_a_killed_agent_is_started_again_with_its_rank(workers: RunningJob) -> None:
    before = process_tree(workers.command.pid)
    kill(before.agents[0])
    workers.next_step(2)
    assert not alive(before.ranks[0][0])
    assert workers.job.events("formed")[1]["reason"] == "worker 0 was started again"
    assert [member["worker"] for member in workers.job.events("formed")[1]["members"]] == [0, 1, 2]
    assert "worker-0 ended with exit code 137; starting it again." in workers.stop()


@pytest.mark.slow
def test_a_rank_beside_others_of_its_worker_may_die(tmp_path: Path) -> None:
    running = RunningJob(tmp_path, "spec.workers.processesPerWorker=2", workers=2)
    try:
        before = process_tree(running.command.pid)
        assert [len(ranks) for ranks in before.ranks.values()] == [2, 2]
        kill(before.ranks[1][1])
        running.next_step(2)
        assert not any(alive(rank) for rank in (*before.ranks[0], *before.ranks[1]))
        formed = running.job.events("formed")[1]
        assert (formed["cause"], formed["reason"].endswith("(worker 1) ended with exit code 137")) == ("failed", True)
        assert [(each["first_rank"], each["ranks"]) for each in formed["members"]] == [(0, 2), (2, 2)]
        running.stop()
    finally:
        running.end()


@pytest.mark.slow
def test_a_rank_that_hangs_is_killed(elastic: RunningJob) -> None:
    before = process_tree(elastic.command.pid)
    os.kill(before.ranks[2][0], signal.SIGSTOP)
    elastic.next_step(2)
    assert not alive(before.ranks[2][0])
    formed = elastic.job.events("formed")[1]
    assert formed["reason"].startswith("rank 2 has been silent for ")
    assert [member["worker"] for member in formed["members"]] == [0, 1, 2]
    elastic.stop()


@pytest.mark.slow
def test_a_worker_that_was_away_comes_back(elastic: RunningJob) -> None:
    before = process_tree(elastic.command.pid)
    away = (before.agents[0], *before.ranks[0])
    for pid in away:
        os.kill(pid, signal.SIGSTOP)
    elastic.next_step(2)
    assert [member["worker"] for member in elastic.job.events("formed")[1]["members"]] == [1, 2]
    for pid in away:
        os.kill(pid, signal.SIGCONT)
    elastic.next_step(3)
    assert [member["worker"] for member in elastic.job.events("formed")[2]["members"]] == [0, 1, 2]
    assert elastic.job.events("formed")[2]["cause"] == "joined"
    generations = [each["generation"] for each in elastic.job.events("shard_written")]
    assert generations == sorted(generations), "no commit of a fenced generation"
    elastic.stop()


@pytest.mark.slow
def test_a_worker_that_is_asked_to_stop_commits_and_leaves(elastic: RunningJob) -> None:
    os.kill(process_tree(elastic.command.pid).agents[2], signal.SIGTERM)
    elastic.next_step(2)
    formed = elastic.job.events("formed")[1]
    last = [each for each in elastic.job.events("shard_written") if each["generation"] < formed["generation"]][-1]
    assert formed["cause"] == "left"
    assert formed["commit"]["step"] == last["step"], "the step at which all stopped"
    elastic.stop()
