"""The life of a job on a real cluster, in three tests: it succeeds, it survives a failure, it goes without a trace."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from charts import ROOT
from e2e_jobs import LONG, Jobs, condition
from e2e_node import NodeAgent
from e2e_release import Release
from local_job import call, environment, gmeta
from restart_counts import restarts

from gmeta_api.status import Progress

pytestmark = [pytest.mark.slow, pytest.mark.smoke, pytest.mark.timeout(600)]

EXAMPLE = ROOT / "examples/movielens-maml.yaml"
JOB = "movielens-maml"


@pytest.fixture
def local_run(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`gmeta run` of the example on generated ratings, begun; its volumes are `data` and `runs` in `tmp_path`."""
    code, output = call("fetch", "generated", "--out", tmp_path / "data/ml-100k-raw")
    assert code == 0, output
    volumes = [f"--volume={name}={tmp_path / name}" for name in ("data", "runs")]
    process = subprocess.Popen(
        [*gmeta(), "run", str(EXAMPLE), *volumes],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.terminate()
    process.communicate()


def aucs(events: str) -> list[float]:
    """Adapted AUC of every evaluation of a run, from its events.jsonl."""
    messages = [json.loads(line)["message"] for line in events.splitlines()]
    return [message["auc"] for message in messages if message["kind"] == "evaluation"]


def test_the_quickstart_succeeds_with_the_auc_of_a_local_run(
    jobs: Jobs, agent: NodeAgent, local_run: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    jobs.claim("movielens", tmp_path / "data/ml-100k-raw", "ml-100k-raw")
    jobs.kubectl("apply", "--validate=false", "-f", str(EXAMPLE))
    status = jobs.wait_for_end(JOB)
    output, _ = local_run.communicate(timeout=180)
    assert local_run.returncode == 0, output
    ending = output.rpartition("succeeded: ")[2].splitlines()[0]

    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe(JOB)
    assert [(each["type"], *condition(status, each["type"])) for each in status["conditions"]] == [
        ("Invalid", "False", "SpecValid", "the spec is valid"),
        ("Suspended", "False", "NotSuspended", "runPolicy.suspend is not set"),
        ("DatasetReady", "True", "Prepared", "the dataset has been made"),
        ("AttemptStarted", "True", "PodsCreated", "every pod has been made once"),
        ("CoordinatorReady", "False", "JobEnded", "the job has ended"),
        ("WorkersReady", "False", "JobEnded", "the job has ended"),
        ("Succeeded", "True", "Completed", ending),
    ]
    # The same data, code and one thread: the same figures to the last digit, of which the status has some.
    here = aucs((tmp_path / "runs" / JOB / "events.jsonl").read_text())
    assert aucs(agent.shell(f"cat {jobs.namespace}/runs/{JOB}/events.jsonl")) == here
    assert status["progress"]["auc"] == Progress(auc=here[-1]).auc
    assert status["startTime"] <= status["completionTime"]
    assert restarts(status) == (0, 0)
    pods = ["coordinator-0", "prepare-0", "w0-0", "w1-0"]
    assert sorted(jobs.pods(JOB)) == [f"{JOB}-{pod}" for pod in pods]
    assert agent.shell(f"ls {jobs.namespace}/runs/{JOB}/report.html")
    header, line = (re.split(" {2,}", each.strip()) for each in jobs.kubectl("get", "mtj").splitlines())
    assert header == ["NAME", "STATE", "REASON", "WORKERS", "RESTARTS", "STEP", "PROGRESS", "SAMPLES/S", "AUC", "AGE"]
    assert line[:3] == [JOB, "Succeeded", "Completed"]
    assert float(line[header.index("AUC")]) == pytest.approx(status["progress"]["auc"], abs=1e-4)
    assert jobs.events(JOB)[-1] == ("Normal", "Completed", f"Succeeded: {ending}")


def test_a_killed_worker_is_replaced_and_goes_on(jobs: Jobs, agent: NodeAgent) -> None:
    jobs.submit("killed", training=LONG, faultTolerance={"restartBackoffSeconds": 4})
    commit = jobs.wait_for_commit("killed")["lastCheckpoint"]["step"]
    agent.kill("killed-w0-0", jobs.namespace)
    words = "killed-w0-0 ended with exit code 137 (Killed); restart 1 of "
    restarting = jobs.wait("killed", "restart", lambda status: status["state"] == "Restarting")
    assert restarting["reason"] == "Killed"
    assert condition(restarting, "Succeeded")[2].startswith(words)
    assert condition(restarting, "WorkersReady") == ("False", "Failed", "0 of 1 running; killed-w0-0 has failed")

    status = jobs.wait_for_end("killed")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("killed")
    assert restarts(status) == (1, 0)
    assert status["attempt"] == 0
    failure = status["lastFailure"]
    assert {name: failure[name] for name in ("pod", "node", "exitCode", "class", "worker")} == {
        "pod": "killed-w0-0",
        "node": agent.node,
        "exitCode": 137,
        "class": "Killed",
        "worker": 0,
    }
    assert failure["step"] >= commit
    assert status["progress"]["percent"] == 100
    assert sorted(jobs.pods("killed")) == ["killed-coordinator-0", "killed-w0-0", "killed-w0-1"]
    assert jobs.has_warned("killed", "Killed", f"Restarting: {words}")


def test_delete_takes_everything_while_the_operator_is_down(jobs: Jobs, operator: Release) -> None:
    jobs.submit("gone", training=LONG)
    jobs.wait_for_running("gone")
    assert len(jobs.children("gone")) == 5
    with operator.down():
        jobs.delete("gone")
        assert jobs.children() == []
