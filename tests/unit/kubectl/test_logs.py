"""`kubectl gmeta logs`: which pod it is, and what kubectl is then asked."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from fake_kubectl import FakeKubectl
from seen_jobs import listed, running, seen_job, seen_pods

from gmeta_kubectl.jobs import Job, Pod
from gmeta_kubectl.kubectl import KubectlError
from gmeta_kubectl.logs import chosen, note, place


def many_ranks() -> dict[str, Any]:
    return seen_job("spec.workers.replicas=2", "spec.workers.processesPerWorker=4")


def asked_for(**options: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"rank": None, "worker": None, "coordinator": False, "prepare": False, **options})


def logs(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gmeta_kubectl", "logs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def cluster(fake: FakeKubectl) -> FakeKubectl:
    """A job whose pods have all been replaced once."""
    job = many_ranks()
    fake.answer("get", "metatrainingjobs.gmeta.dev", "movies", out=job)
    fake.answer("get", "pods", out=listed(*seen_pods(job, 3, **running()), *seen_pods(job, 0, phase="Failed")))
    fake.answer("logs", out="step 7\n")
    return fake


@pytest.mark.parametrize(("rank", "worker"), [(0, 0), (3, 0), (4, 1), (7, 1)])
def test_a_rank_is_in_the_worker_that_has_it(rank: int, worker: int) -> None:
    assert place(asked_for(rank=rank), Job(many_ranks())) == ("worker", worker)


@pytest.mark.parametrize("rank", [-1, 8])
def test_a_rank_that_there_is_not(rank: int) -> None:
    with pytest.raises(KubectlError, match=rf"^job movies has no rank {rank}: its ranks are 0 to 7$"):
        place(asked_for(rank=rank), Job(many_ranks()))


def test_places_by_role() -> None:
    job = Job(many_ranks())
    assert place(asked_for(), job) == ("worker", 0)
    assert place(asked_for(worker=1), job) == ("worker", 1)
    assert place(asked_for(coordinator=True), job) == ("coordinator", 0)
    assert place(asked_for(prepare=True), job) == ("prepare", 0)


def test_the_newest_pod_and_the_one_before() -> None:
    job = many_ranks()
    pods = [Pod(pod) for number in (2, 10, 9) for pod in seen_pods(job, number)]
    assert chosen(pods, "worker", 1, previous=False).name == "movies-w1-10"
    assert chosen(pods, "worker", 1, previous=True).name == "movies-w1-9"
    with pytest.raises(KubectlError, match=r"^there is no pod of worker 2: it has not been made, or "):
        chosen(pods, "worker", 2, previous=False)
    with pytest.raises(KubectlError, match=r"^there is no pod of coordinator before movies-coordinator-0$"):
        chosen([Pod(pod) for pod in seen_pods(job)], "coordinator", 0, previous=True)


def test_a_rank_alone_in_its_pod_needs_no_note() -> None:
    assert note(Job(seen_job()), 0) == []


def test_it_becomes_kubectl(cluster: FakeKubectl) -> None:
    done = logs("movies", "--rank", "5", "-f", "-n", "team-a")
    assert (done.returncode, done.stdout) == (0, "step 7\n")
    assert done.stderr == (
        "Rank 5 is process 1 of worker 1. That pod's 4 ranks, 4 to 7, write one log, and its lines do not say\n"
        "of which rank they are.\n"
    )
    assert cluster.asked()[-1] == ["logs", "movies-w1-3", "--follow", "--namespace=team-a"]


def test_the_log_of_a_pod_before(
    cluster: FakeKubectl, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []

    def execvp(program: str, arguments: list[str]) -> None:
        became.append(arguments)
        sys.exit(0)

    monkeypatch.setattr(os, "execvp", execvp)
    done = call("logs", "movies", "--coordinator", "--previous")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert became == [["kubectl", "logs", "movies-coordinator-0"]]


def test_one_place_at_a_time(call: Callable[..., Any]) -> None:
    done = call("logs", "movies", "--coordinator", "--rank", "1")
    assert done.code == 2
    assert "argument --rank: not allowed with argument --coordinator" in done.err
