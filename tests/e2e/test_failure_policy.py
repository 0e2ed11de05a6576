"""What a manifest says about failures, done on a real cluster, and told in plain words."""

from datetime import datetime
from typing import Any

import pytest
from e2e_cluster import wait_for
from e2e_jobs import LONG, Jobs, Status, condition
from e2e_node import NodeAgent
from e2e_ranks import Ranks
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LITTLE_MEMORY = {"resources": {"limits": {"memory": "96Mi"}}}
DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def rule(action: str, **selector: Any) -> dict[str, Any]:
    return {"rules": [{"name": "ours", "action": action, **selector}]}


def ended(jobs: Jobs, name: str) -> tuple[Status, str]:
    """The status of a job that has failed, and the sentence that says why."""
    status = jobs.wait_for_end(name)
    assert status["state"] == "Failed", jobs.describe(name)
    assert status["lastFailure"]["rule"] == "ours"
    return status, condition(status, "Succeeded")[2]


def test_rules_on_exit_code_reason_and_last_words_come_before_what_is_usual(jobs: Jobs, agent: NodeAgent) -> None:
    jobs.submit("strict", training=LONG, faultTolerance=rule("Fail", exitCodes=[137]))
    jobs.submit("generous", training=LONG, faultTolerance=rule("RestartUncounted", exitCodes=[137]))
    for name in ("strict", "generous"):
        jobs.wait_for_commit(name)
        agent.kill(f"{name}-w0-0", jobs.namespace)
    status, words = ended(jobs, "strict")
    assert words == "strict-w0-0 ended with exit code 137 (Killed)"
    assert (status["reason"], restarts(status)) == ("Killed", (0, 0))
    assert sorted(jobs.pods("strict")) == ["strict-coordinator-0", "strict-w0-0"]
    status = jobs.wait_for_end("generous")
    assert (status["state"], restarts(status)) == ("Succeeded", (0, 1)), jobs.describe("generous")
    told = "Restarting: generous-w0-0 ended with exit code 137 (Killed); starting again, not counted against "
    assert jobs.has_warned("generous", "Killed", told)

    jobs.submit("hungry", workers=LITTLE_MEMORY, faultTolerance=rule("Fail", reasons=["OOMKilled"]))
    patient = rule("Restart", message="no module named 'my_[a-z]+'")
    jobs.submit("patient", model={"type": "my_models:Ranker"}, faultTolerance={**patient, "backoffLimit": 1})
    status, words = ended(jobs, "hungry")
    assert words == "hungry-w0-0 ended with exit code 137 (OutOfMemory, OOMKilled)"
    assert (status["reason"], restarts(status)) == ("OutOfMemory", (0, 0))
    status, words = ended(jobs, "patient")
    assert (status["reason"], restarts(status)) == ("BackoffLimitExceeded", (1, 0))
    assert words.endswith("; faultTolerance.backoffLimit of 1 restarts without a new commit is reached")


def test_a_pod_that_is_ended_for_the_clusters_sake_costs_nothing_unless_a_rule_says_so(
    jobs: Jobs, agent: NodeAgent
) -> None:
    """Nothing in this cluster sets the condition DisruptionTarget, so the test does, as the eviction API would."""
    jobs.submit("moved", training=LONG)
    jobs.submit("pinned", training=LONG, faultTolerance=rule("Fail", conditions=["DisruptionTarget"]))
    for name in ("moved", "pinned"):
        jobs.wait_for_commit(name)
        jobs.add_condition(f"{name}-w0-0", DISRUPTED)
        agent.kill(f"{name}-w0-0", jobs.namespace)
    status, words = ended(jobs, "pinned")
    assert (status["reason"], restarts(status)) == ("Infrastructure", (0, 0))
    assert words == "pinned-w0-0 ended with exit code 137 (Infrastructure, EvictionByEvictionAPI)"
    status = jobs.wait_for_end("moved")
    assert (status["state"], restarts(status)) == ("Succeeded", (0, 1)), jobs.describe("moved")
    assert (status["lastFailure"]["class"], status["lastFailure"]["exitCode"]) == ("Infrastructure", 137)


def test_a_new_commit_renews_the_budget_and_the_wait(jobs: Jobs, agent: NodeAgent) -> None:
    limits = {"restartBackoffSeconds": 3, "backoffLimit": 1}
    jobs.submit("stubborn", training=LONG, faultTolerance=limits)
    for number in range(3):
        step = jobs.status("stubborn").get("restarts", {}).get("atStep", 0)
        wait_for("progress", lambda step=step: committed(jobs, "stubborn") > step, 180)  # type: ignore[misc]
        agent.kill(f"stubborn-w0-{number}", jobs.namespace)
        assert wait_for_restart(jobs, "stubborn", number + 1)["withoutProgress"] == 1
        assert 3 <= gap(jobs, "stubborn-w0", number) <= 8
        jobs.wait_for_running("stubborn")
    status = jobs.wait_for_end("stubborn")
    assert (status["state"], restarts(status)) == ("Succeeded", (3, 0)), jobs.describe("stubborn")
    ledger = Ranks(jobs, "stubborn").events("shard_written")[-1]["ledger"]
    assert ledger["epoch"] == LONG["epochs"]


def test_the_wait_doubles_while_nothing_is_committed(jobs: Jobs) -> None:
    limits = {"restartBackoffSeconds": 4, "maxBackoffSeconds": 8, "backoffLimit": 3}
    jobs.submit("hopeless", workers=LITTLE_MEMORY, faultTolerance=limits)
    for number, expected in enumerate((4, 8, 8)):
        assert wait_for_restart(jobs, "hopeless", number + 1)["withoutProgress"] == number + 1
        assert expected <= gap(jobs, "hopeless-w0", number) <= expected + 4
    status = jobs.wait_for_end("hopeless")
    assert (status["reason"], restarts(status)) == ("BackoffLimitExceeded", (3, 0)), jobs.describe("hopeless")


def committed(jobs: Jobs, name: str) -> int:
    """Step of the newest commit that the status tells of."""
    return int(jobs.status(name).get("lastCheckpoint", {}).get("step", 0))


def wait_for_restart(jobs: Jobs, name: str, count: int) -> dict[str, int]:
    """Wait until that many restarts were counted; the counts."""
    status = jobs.wait(name, "restart", lambda status: status.get("restarts", {}).get("counted") == count)
    return dict(status["restarts"])


def gap(jobs: Jobs, slot: str, number: int) -> float:
    """Seconds between the end of a pod's process and the making of its successor; both times are cut to seconds."""
    pods = {name: pod for name, pod in jobs.pods(slot.rpartition("-")[0]).items() if name.startswith(slot)}
    (container,) = pods[f"{slot}-{number}"]["status"]["containerStatuses"]
    ended = datetime.fromisoformat(container["state"]["terminated"]["finishedAt"])
    made = datetime.fromisoformat(pods[f"{slot}-{number + 1}"]["metadata"]["creationTimestamp"])
    return (made - ended).total_seconds()
