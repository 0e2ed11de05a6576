"""A job's life on a real cluster: suspended and resumed, scaled, and over at its deadline, each told in plain words."""

import re
from datetime import datetime

import pytest
from e2e_cluster import GONE_SECONDS, wait_for
from e2e_jobs import LONG, Jobs, Status, condition
from e2e_ranks import Ranks
from restart_counts import restarts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOLERANCE = 3.0
"""Seconds that a deadline may be late: the write, and the second that a time stamp is cut to."""


def seconds_between(status: Status, first: str, second: str) -> float:
    begin, end = (datetime.fromisoformat(status[name]) for name in (first, second))
    return (end - begin).total_seconds()


def patch(jobs: Jobs, name: str, spec: str) -> None:
    jobs.kubectl("patch", "mtj", name, "--type=merge", "-p", f'{{"spec": {spec}}}')


def test_a_suspended_job_commits_frees_everything_and_goes_on_from_there(jobs: Jobs) -> None:
    jobs.submit("paused", training=LONG, workers={"replicas": 2}, runPolicy={"activeDeadlineSeconds": 500})
    jobs.wait_for_commit("paused")
    patch(jobs, "paused", '{"runPolicy": {"suspend": true}}')
    status = jobs.wait("paused", "suspension", lambda status: status["reason"] == "Suspended")
    assert jobs.pods("paused") == {}, "a suspended job holds pods"
    step = Ranks(jobs, "paused").events("shard_written")[-1]["ledger"]["global_step"]
    words = f"no pod runs; step {step} is committed; set runPolicy.suspend to false to go on"
    assert condition(status, "Suspended") == ("True", "Suspended", words)
    assert condition(status, "WorkersReady") == ("False", "SuspendRequested", "the job is suspended")
    assert (status["state"], status["workers"]) == ("Suspended", {"desired": 2, "ready": 0})
    assert "startTime" not in status
    done = Ranks(jobs, "paused").events("progress")[-1]["step"]
    assert step >= done, f"steps {step} to {done} were done and not committed"

    patch(jobs, "paused", '{"runPolicy": {"suspend": false}}')
    status = jobs.wait_for_running("paused")
    assert (status["attempt"], restarts(status)) == (1, (0, 1))
    status = jobs.wait_for_end("paused", 500)
    assert (status["state"], status["progress"]["percent"]) == ("Succeeded", 100), jobs.describe("paused")
    first, *_ = (each for each in Ranks(jobs, "paused").events("formed") if each["attempt"] == 1)
    assert first["commit"]["step"] == step
    told = [message for _, _, message in jobs.events("paused")]
    assert any(message.startswith("Suspended: the processes commit and leave: ") for message in told), told
    assert f"Suspended: {words}" in told


@pytest.mark.smoke
def test_a_job_fails_at_its_active_deadline_and_goes_at_the_end_of_its_time(jobs: Jobs) -> None:
    policy = {"activeDeadlineSeconds": 25, "ttlSecondsAfterFinished": 10}
    jobs.submit("brief", training=LONG, runPolicy=policy)
    status = jobs.wait_for_end("brief")
    assert (status["state"], status["reason"]) == ("Failed", "DeadlineExceeded"), jobs.describe("brief")
    assert 25 <= seconds_between(status, "startTime", "completionTime") <= 25 + TOLERANCE
    words = condition(status, "Succeeded")[2]
    assert re.fullmatch(
        r"the job has run for runPolicy\.activeDeadlineSeconds of 25 s; (step \d+|nothing) is committed", words
    )
    assert ("Warning", "DeadlineExceeded", f"Failed: {words}") in jobs.events("brief")
    wait_for("the end of the ended job", lambda: jobs.cluster.names("mtj", "-n", jobs.namespace) == [], GONE_SECONDS)
    wait_for("the end of what belonged to it", lambda: jobs.children("brief") == [], GONE_SECONDS)


def test_a_job_whose_pods_find_no_place_fails_in_time_and_says_why(jobs: Jobs) -> None:
    jobs.submit(
        "placeless",
        workers={"nodeSelector": {"gmeta.dev/no-such": "node"}},
        runPolicy={"preRunningDeadlineSeconds": 15, "cleanPodPolicy": "All"},
    )
    status = jobs.wait_for_end("placeless")
    assert (status["state"], status["reason"]) == ("Failed", "PreRunningDeadlineExceeded"), jobs.describe("placeless")
    words = "not all pods have run within runPolicy.preRunningDeadlineSeconds of 15 s: placeless-"
    message = condition(status, "Succeeded")[2]
    assert message.startswith(words)
    assert "didn't match" in message
    created = datetime.fromisoformat(
        jobs.cluster.get("mtj", "placeless", "-n", jobs.namespace)["metadata"]["creationTimestamp"]
    )
    waited = (datetime.fromisoformat(status["completionTime"]) - created).total_seconds()
    assert 15 <= waited <= 15 + TOLERANCE
    wait_for("the end of all pods", lambda: jobs.pods("placeless") == {}, GONE_SECONDS)


def test_pods_stay_or_go_as_the_policy_says_and_an_ended_job_makes_none_again(jobs: Jobs) -> None:
    short = {"epochs": 1}
    jobs.submit("all", training=short, runPolicy={"cleanPodPolicy": "All"})
    assert jobs.wait_for_end("all")["state"] == "Succeeded", jobs.describe("all")
    wait_for("the end of all pods", lambda: jobs.pods("all") == {}, GONE_SECONDS)
    jobs.submit("some", training=short)
    before = jobs.wait_for_end("some")
    assert sorted(jobs.pods("some")) == ["some-coordinator-0", "some-w0-0"]
    jobs.kubectl("delete", "pod", "some-w0-0")
    patch(jobs, "some", '{"training": {"epochs": 2}}')
    patch(jobs, "all", '{"runPolicy": {"suspend": true}}')
    patch(jobs, "all", '{"runPolicy": {"suspend": false}}')
    jobs.submit("next", training=short)
    jobs.wait_for_end("next")
    assert sorted(jobs.pods("some")) == ["some-coordinator-0"]
    assert jobs.pods("all") == {}
    assert jobs.status("some") == before, "the status of a job that has ended changes"


def test_an_autoscaler_scales_a_job(jobs: Jobs) -> None:
    jobs.submit("elastic", training=LONG, workers={"replicas": 1, "minReplicas": 1, "maxReplicas": 3})
    jobs.wait_for_commit("elastic")
    target = {"apiVersion": "gmeta.dev/v1alpha1", "kind": "MetaTrainingJob", "name": "elastic"}
    jobs.apply(
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "elastic"},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3},
        }
    )
    status = jobs.wait(
        "elastic", "second worker", lambda status: status.get("workers") == {"desired": 2, "ready": 2}, 120
    )
    assert restarts(status) == (0, 1)
    assert {"elastic-w0-0", "elastic-w1-1"} <= set(jobs.pods("elastic"))
    jobs.kubectl("delete", "hpa", "elastic")
    jobs.kubectl("scale", "mtj", "elastic", "--replicas=1")
    jobs.wait("elastic", "one worker", lambda status: status.get("workers") == {"desired": 1, "ready": 1})
    status = jobs.wait_for_end("elastic")
    assert (status["state"], status["reason"]) == ("Succeeded", "Completed"), jobs.describe("elastic")


def test_another_controllers_job_is_left_alone(jobs: Jobs) -> None:
    jobs.submit("foreign", runPolicy={"managedBy": "kueue.x-k8s.io/multikueue"})
    jobs.submit("own", training={"epochs": 1}, runPolicy={"managedBy": "gmeta.dev/operator"})
    assert jobs.wait_for_end("own")["state"] == "Succeeded", jobs.describe("own")
    assert (jobs.status("foreign"), jobs.children("foreign"), jobs.events("foreign")) == ({}, [], [])
