"""Failures on a real cluster: what is done about them, and in which words the job's status tells it."""

from pathlib import Path

import pytest
from e2e_jobs import LONG, Jobs, condition
from e2e_node import NodeAgent
from e2e_release import Release
from local_job import MANIFEST
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OOM = "oom-w0-{} ended with exit code 137 (OutOfMemory, OOMKilled)"
COORDINATOR = "CoordinatorReady"


def test_a_killed_coordinator_is_replaced_and_no_worker_restarts(jobs: Jobs, agent: NodeAgent) -> None:
    jobs.submit("headless", training=LONG)
    jobs.wait_for_commit("headless")
    agent.kill("headless-coordinator-0", jobs.namespace)
    status = jobs.wait_for_end("headless")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("headless")
    assert restarts(status) == (1, 0)
    failure = status["lastFailure"]
    assert (failure["pod"], failure["exitCode"], failure["class"]) == ("headless-coordinator-0", 137, "Killed")
    assert "worker" not in failure
    assert sorted(jobs.pods("headless")) == ["headless-coordinator-0", "headless-coordinator-1", "headless-w0-0"]
    words = "Restarting: headless-coordinator-0 ended with exit code 137 (Killed); restart 1 of "
    assert jobs.has_warned("headless", "Killed", words)


@pytest.mark.smoke
def test_an_operator_killed_in_mid_run_makes_no_pod_twice(jobs: Jobs, agent: NodeAgent, operator: Release) -> None:
    jobs.submit("orphan", training=LONG)
    jobs.wait_for_running("orphan")
    before = {name: pod["metadata"]["uid"] for name, pod in jobs.pods("orphan").items()}
    events = jobs.events("orphan")
    operator.kill(agent)
    assert jobs.status("orphan")["state"] == "Running", "the operator came back after the job's end: nothing is tested"
    status = jobs.wait_for_end("orphan")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("orphan")
    assert {name: pod["metadata"]["uid"] for name, pod in jobs.pods("orphan").items()} == before
    assert restarts(status) == (0, 0)
    assert jobs.events("orphan")[: len(events)] == events
    assert [reason for _, reason, _ in jobs.events("orphan")[len(events) :]] == ["Completed"]


def test_a_job_that_ends_while_the_operator_is_down_is_told_afterwards(jobs: Jobs, operator: Release) -> None:
    jobs.submit("unseen")
    jobs.wait_for_running("unseen")
    with operator.down():
        jobs.wait_for_phase("unseen-coordinator-0", "Succeeded")
    status = jobs.wait_for_end("unseen")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("unseen")
    assert status["progress"]["percent"] == 100


def test_a_worker_beyond_its_memory_is_tried_again_up_to_the_limit(jobs: Jobs) -> None:
    limits = {"resources": {"limits": {"memory": "96Mi"}}}
    jobs.submit("oom", workers=limits, faultTolerance={"restartBackoffSeconds": 1, "backoffLimit": 1})
    status = jobs.wait_for_end("oom")
    words = f"{OOM.format(1)}; faultTolerance.backoffLimit of 1 restarts without a new commit is reached"
    assert (status["state"], status["reason"]) == ("Failed", "BackoffLimitExceeded"), jobs.describe("oom")
    assert condition(status, "Succeeded") == ("False", "BackoffLimitExceeded", words)
    assert restarts(status) == (1, 0)
    failure = status["lastFailure"]
    assert (failure["pod"], failure["reason"], failure["class"]) == ("oom-w0-1", "OOMKilled", "OutOfMemory")
    assert (failure["exitCode"], failure["worker"]) == (137, 0)
    assert {"oom-w0-0", "oom-w0-1"} <= set(jobs.pods("oom"))
    assert jobs.has_warned("oom", "OutOfMemory", f"Restarting: {OOM.format(0)}; restart 1 of 1 at ")
    assert ("Warning", "BackoffLimitExceeded", f"Failed: {words}") in jobs.events("oom")


def test_an_image_that_does_not_exist_is_told(jobs: Jobs) -> None:
    jobs.submit("noimage", workers={"image": "nowhere:1", "imagePullPolicy": "Never"})
    told = "ErrImageNeverPull"  # of a worker it may be told before
    status = jobs.wait("noimage", "reason", lambda status: "state" in status and told in condition(status, COORDINATOR))
    assert (status["state"], status["reason"]) == ("Pending", told)
    words = 'Container image "nowhere:1" is not present with pull policy of Never'
    assert condition(status, COORDINATOR) == ("False", told, f"0 of 1 running; noimage-coordinator-0: {words}")
    assert condition(status, "Succeeded")[2] == f"noimage-coordinator-0: {words}"
    assert restarts(status) == (0, 0)


def test_a_field_that_a_manifest_may_not_set_is_told_with_its_path(jobs: Jobs) -> None:
    jobs.submit("outlaw", workers={"podTemplate": {"spec": {"hostNetwork": True}}})
    status = jobs.wait("outlaw", "verdict", lambda status: status.get("reason") == "SpecInvalid")
    assert status["state"] == "Pending"
    assert jobs.events("outlaw")[0][:2] == ("Warning", "SpecInvalid")
    state, reason, message = condition(status, "Invalid")
    assert (state, reason) == ("True", "SpecInvalid")
    assert message.startswith("spec.workers.podTemplate.spec.hostNetwork: a manifest may not set this; allowed are ")
    assert jobs.children("outlaw") == []


def test_a_model_that_does_not_exist_is_not_tried_again(jobs: Jobs) -> None:
    jobs.submit("unknown", model={"type": "my_models:Ranker"})
    status = jobs.wait_for_end("unknown")
    assert (status["state"], status["reason"]) == ("Failed", "BadModel"), jobs.describe("unknown")
    words = "spec.model.type: no module named 'my_models' (from 'my_models:Ranker'); put it on PYTHONPATH"
    # The worker has told the coordinator, and both end with it; the operator may see either of them first.
    assert condition(status, "Succeeded")[2] in (
        f"unknown-w0-0 ended with exit code 66 (BadModel): gmeta: {words}",
        f"unknown-coordinator-0 ended with exit code 66 (BadModel): {words}",
    )
    assert (status["lastFailure"]["exitCode"], status["restarts"]["counted"]) == (66, 0)
    assert sorted(jobs.pods("unknown")) == ["unknown-coordinator-0", "unknown-w0-0"]


def test_bad_data_is_not_tried_again(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,movie_id,age\n1,2,3\n")
    jobs.claim("wrong", tmp_path)
    jobs.submit("bad", {"data": "wrong"}, data={"prepare": MANIFEST["spec"]["data"]["prepare"]})
    status = jobs.wait_for_end("bad")
    assert (status["state"], status["reason"]) == ("Failed", "BadData"), jobs.describe("bad")
    message = condition(status, "Succeeded")[2]
    assert message.startswith("bad-prepare-0 ended with exit code 65 (BadData): gmeta: label click: no column ")
    assert message.endswith("(ratings.csv has user_id, movie_id, age)")
    assert (status["lastFailure"]["exitCode"], status["restarts"]["counted"]) == (65, 0)
    assert list(jobs.pods("bad")) == ["bad-prepare-0"]
