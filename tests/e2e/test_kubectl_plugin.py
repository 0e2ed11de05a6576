"""`kubectl gmeta` with the real kubectl against a job that trains on a real cluster."""

import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from charts import ROOT
from e2e_jobs import Jobs
from local_job import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ELASTIC = {"replicas": 1, "minReplicas": 1, "maxReplicas": 2}
LONG = {"epochs": 600, "evaluation": {"everyEpochs": 600, "shots": [1]}}


@dataclass(frozen=True)
class Plugin:
    """The plugin, in the namespace of a test's jobs."""

    jobs: Jobs

    def __call__(self, command: str, *arguments: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        plugin = (sys.executable, "-m", "gmeta_kubectl", command, *arguments, "-n", self.jobs.namespace)
        line = self.jobs.cluster.command(*plugin)
        return subprocess.run(
            line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=seconds
        )

    def lines(self, command: str, *arguments: str) -> list[str]:
        """What a command prints that ends well."""
        done = self(command, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert max(map(len, done.stdout.splitlines())) <= 100
        return done.stdout.splitlines()


def fact(lines: list[str], label: str) -> str:
    """A labelled line of the page."""
    return next(line.removeprefix(f"{label}:").strip() for line in lines if line.startswith(f"{label}:"))


def test_a_job_is_looked_after_with_the_plugin_alone(jobs: Jobs) -> None:
    plugin = Plugin(jobs)
    jobs.submit("movies", workers=ELASTIC, training=LONG, checkpoint={"everySteps": 50})
    jobs.wait_for_commit("movies")

    page = plugin.lines("status", "movies")
    assert fact(page, "State") == "Running (Training): all pods run"
    assert re.match(r"\[#*-*\] \d+%, step [\d,]+ of [\d,]+, [\d,]+ samples/s, about \w+ left$", fact(page, "Progress"))
    assert re.match(r"step [\d,]+ in a0/s\d+, ([\d,]+ steps? ago|nothing came after it)", fact(page, "Checkpoint"))
    (worker,) = (line.split() for line in page if " movies-w0-0 " in line)
    assert [worker[1], *worker[3:6]] == ["movies-w0-0", "Running", "yes", "0"]
    (row,) = (line.split() for line in plugin.lines("status") if line.startswith("movies "))
    assert row[1:5] == ["Running", "Training", "1/1", "0"]
    assert plugin.lines("why", "movies")[0] == f"{jobs.namespace}/movies is Running (Training). The job trains."

    done = plugin("logs", "movies", "--rank", "0")
    assert (done.returncode, done.stdout) == (0, jobs.kubectl("logs", "movies-w0-0")), done.stderr
    assert plugin("logs", "movies", "--coordinator").returncode == 0
    assert plugin("logs", "movies", "--rank", "1").stderr == (
        "kubectl gmeta: job movies has no rank 1: its ranks are 0 to 0\n"
    )

    assert plugin("scale", "movies", "3").stderr.startswith(
        "kubectl gmeta: 3 workers would be more than spec.workers.maxReplicas, 2; to change that: kubectl patch mtj "
    )
    assert plugin.lines("scale", "movies", "2") == [f"{jobs.namespace}/movies scaled from 1 to 2 workers"]
    jobs.wait("movies", "two workers", lambda status: status["workers"] == {"desired": 2, "ready": 2}, 150)

    suspended = plugin.lines("suspend", "movies", "--wait")
    assert suspended[0].startswith("waiting for movies-")
    assert suspended[-1] == f"{jobs.namespace}/movies suspended"
    assert [name for name, pod in jobs.pods("movies").items() if pod["status"]["phase"] == "Running"] == []
    step = jobs.status("movies")["lastCheckpoint"]["step"]
    why = plugin.lines("why", "movies")
    assert why[0].startswith(f"{jobs.namespace}/movies is Suspended (")
    assert f"    kubectl gmeta resume movies -n {jobs.namespace}" in why

    assert plugin.lines("resume", "movies", "--wait")[-1] == f"{jobs.namespace}/movies resumed"
    status = jobs.wait(
        "movies", "a commit after the resumption", lambda status: status["lastCheckpoint"]["step"] > step
    )
    assert status["attempt"] == 1


def test_the_plan_is_what_the_operator_makes_and_the_quota_is_right(jobs: Jobs) -> None:
    plugin = Plugin(jobs)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": jobs.namespace}}
    jobs.apply({**quota, "spec": {"hard": {"count/pods": "2"}}})
    jobs.submit("crowd", workers={"replicas": 3}, training=LONG)
    jobs.wait("crowd", "refusal", lambda status: status.get("reason") == "CreateFailed")
    plan = plugin.lines("plan", "crowd")
    assert plan[-2:] == ["Quota", "  few would refuse 2 of 4 pods: count/pods of 1 a pod, and 0 is left"]
    assert sorted(jobs.pods("crowd")) == ["crowd-coordinator-0", "crowd-w0-0"]
    names = {line.split()[0] for line in plan if line.startswith("crowd-")}
    assert names == {"crowd-coordinator-0", "crowd-w0-0"}
    why = plugin.lines("why", "crowd")
    assert why[0].startswith(f"{jobs.namespace}/crowd is Pending (CreateFailed). The API server has refused to make")
    assert "exceeded quota: few" in " ".join(line.strip() for line in why)


def test_why_a_job_has_failed_and_what_there_is_not(jobs: Jobs) -> None:
    plugin = Plugin(jobs)
    jobs.submit("unknown", model={"type": "my_models:Ranker"})
    jobs.wait_for_end("unknown")
    why = plugin.lines("why", "unknown")
    assert why[0].startswith(f"{jobs.namespace}/unknown is Failed (BadModel). The model class cannot be imported")
    assert "  - exit code 66: the model class cannot be imported, built or adapted" in why
    command = next(line for line in why if line.startswith("    kubectl logs "))
    words = "no module named 'my_models'"
    assert words in jobs.cluster.kubectl(*command.split()[1:])
    assert words in plugin("logs", "unknown", "--rank", "0").stdout
    assert why[-1] == "More: docs/states/failed.md"
    done = plugin("status", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kubectl gmeta: there is no job 'nobody' in this namespace; ")
