"""A manifest applied to a real cluster: pods really run and really train."""

import time
from typing import Any

import pytest
from e2e_cluster import Jobs, Operator, kill_container

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LONG = {"epochs": 20}


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in status["conditions"] if each["type"] == kind)


def test_a_job_succeeds_with_its_scores_in_the_status(jobs: Jobs) -> None:
    jobs.submit("small")
    status = jobs.wait_for_end("small")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), status
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Invalid": "False",
        "Suspended": "False",
        "DatasetReady": "True",
        "CoordinatorReady": "False",
        "WorkersReady": "False",
        "Succeeded": "True",
    }
    assert status["progress"]["percent"] == 100
    assert 0 < status["progress"]["auc"] < 1
    assert status["lastCheckpoint"]["step"] == status["progress"]["step"]
    assert status["startTime"] <= status["completionTime"]
    assert status["restarts"] == {"counted": 0, "uncounted": 0}
    assert sorted(jobs.pods("small")) == ["small-coordinator-0", "small-prepare-0", "small-w0-0"]
    assert (jobs.folder / "runs/small/report.html").exists()


def test_a_killed_worker_is_replaced_and_goes_on(jobs: Jobs) -> None:
    jobs.submit("killed", training=LONG)
    jobs.wait("killed", "a commit", lambda status: status.get("lastCheckpoint", {}).get("step", 0) > 0)
    kill_container("killed-w0-0")
    status = jobs.wait_for_end("killed")
    assert status["state"] == "Succeeded", status
    assert status["restarts"] == {"counted": 1, "uncounted": 0}
    assert status["attempt"] == 0
    failure = status["lastFailure"]
    assert (failure["pod"], failure["class"], failure["rank"]) == ("killed-w0-0", "Killed", 0)
    assert status["progress"]["percent"] == 100
    assert {"killed-w0-0", "killed-w0-1"} <= set(jobs.pods("killed"))


def test_a_killed_coordinator_is_replaced_and_no_worker_restarts(jobs: Jobs) -> None:
    jobs.submit("headless", training=LONG)
    jobs.wait("headless", "a commit", lambda status: status.get("lastCheckpoint", {}).get("step", 0) > 0)
    kill_container("headless-coordinator-0")
    status = jobs.wait_for_end("headless")
    assert status["state"] == "Succeeded", status
    assert status["restarts"] == {"counted": 1, "uncounted": 0}
    assert sorted(jobs.pods("headless")) == [
        "headless-coordinator-0",
        "headless-coordinator-1",
        "headless-prepare-0",
        "headless-w0-0",
    ]


def test_an_operator_killed_in_mid_run_makes_no_pod_twice(jobs: Jobs, operator: Operator) -> None:
    jobs.submit("orphan", training=LONG)
    jobs.wait("orphan", "training", lambda status: status.get("state") == "Running")
    before = {name: pod["metadata"]["uid"] for name, pod in jobs.pods("orphan").items()}
    operator.kill()
    operator.start()
    status = jobs.wait_for_end("orphan")
    assert status["state"] == "Succeeded", status
    assert {name: pod["metadata"]["uid"] for name, pod in jobs.pods("orphan").items()} == before


def test_delete_takes_everything_while_the_operator_is_down(jobs: Jobs, operator: Operator) -> None:
    jobs.submit("gone", training=LONG)
    jobs.wait("gone", "training", lambda status: status.get("state") == "Running")
    operator.kill()
    jobs.cluster.kubectl("delete", "mtj", "gone", "-n", jobs.namespace, "--timeout=20s")
    selector = ("-n", jobs.namespace, "-l", "gmeta.dev/job=gone")
    deadline = time.monotonic() + 60
    while jobs.cluster.get("pods,services,configmaps,networkpolicies", *selector)["items"]:
        assert time.monotonic() < deadline, "children are left"
        time.sleep(0.5)


def test_bad_data_is_not_tried_again(jobs: Jobs) -> None:
    (jobs.folder / "data/ratings.csv").write_text("user_id,movie_id,age\n1,2,3\n")
    jobs.submit("bad")
    status = jobs.wait_for_end("bad")
    assert (status["state"], status["reason"]) == ("Failed", "BadData"), status
    assert status["lastFailure"]["exitCode"] == 65
    assert "rating" in status["lastFailure"]["message"]
    assert list(jobs.pods("bad")) == ["bad-prepare-0"]


def test_an_image_that_does_not_exist_is_told(jobs: Jobs) -> None:
    jobs.submit("noimage", workers={"image": "nowhere:1", "imagePullPolicy": "Never"})
    status = jobs.wait("noimage", "the reason", lambda status: status.get("reason") == "ErrImageNeverPull")
    assert status["state"] == "Pending"
    assert condition(status, "DatasetReady")["reason"] == "ErrImageNeverPull"
    assert "nowhere:1" in condition(status, "DatasetReady")["message"]
