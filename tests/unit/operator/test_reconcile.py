"""What the operator does about what happens to a job, through the real controller over a simulated API server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from restart_counts import restarts
from simulated import PREPARE, Server, conditions, manifest, refusing, welcoming
from simulated_operator import Operator

from gmeta_api.exit_codes import ExitCode
from gmeta_operator.client import ApiError
from gmeta_operator.report import read_report

DONE = {"outcome": "succeeded", "message": "all steps are done", "exit_code": 0}
PROGRESS = {
    "epoch": 1,
    "step": 50,
    "total_steps": 200,
    "samples": 1000,
    "samples_per_second": 10.0,
    "tasks_per_second": 2.0,
    "loss": 0.5,
    "auc": 0.7,
}


def report(**parts: Any) -> str:
    return json.dumps(
        {"attempt": 0, "progress": PROGRESS, "commit": {"attempt": 0, "step": 40, "path": "a0/s40"}, **parts}
    )


def story(tell: Callable[[Server, Operator], None], **groups: Any) -> Server:
    """Run a story about a job on a fresh server."""
    server = Server(manifest(**groups))
    tell(server, Operator(server))
    return server


def told(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Reason and message of each condition."""
    return {each["type"]: (each["reason"], each["message"]) for each in status["conditions"]}


def begin(server: Server, operator: Operator) -> None:
    operator.sync()
    server.start("movies-coordinator-0")
    server.start("movies-w0-0")
    operator.sync(1)


def test_first_sight_makes_everything_and_sets_every_condition() -> None:
    def tell(server: Server, operator: Operator) -> None:
        status = operator.sync()
        assert conditions(status) == {
            "Invalid": ("False", "SpecValid"),
            "Suspended": ("False", "NotSuspended"),
            "DatasetReady": ("True", "NoPreparation"),
            "AttemptStarted": ("True", "PodsCreated"),
            "CoordinatorReady": ("False", "Pending"),
            "WorkersReady": ("False", "Pending"),
            "Succeeded": ("Unknown", "Starting"),
        }
        assert {each["observedGeneration"] for each in status["conditions"]} == {1}
        assert (status["state"], status["attempt"], server.status_writes) == ("Pending", 0, 1)
        assert server.made == ["movies-coordinator-0", "movies-w0-0"]
        assert sorted(server.applied) == [
            ("ConfigMap", "movies-job-0"),
            ("NetworkPolicy", "movies"),
            ("Service", "movies-coordinator"),
        ]

    story(tell)


def test_running_shows_progress_and_repeats_nothing() -> None:
    def tell(server: Server, operator: Operator) -> None:
        server.report = read_report(report(last_evaluation={"rows": [{"adapted": True, "gauc": 0.6}]}))
        begin(server, operator)
        status = operator.sync(5)
        assert (status["state"], status["reason"]) == ("Running", "Training")
        assert status["workers"] == {"desired": 1, "ready": 1}
        assert status["progress"] == {
            "epoch": 1,
            "step": 50,
            "totalSteps": 200,
            "percent": 25,
            "samples": 1000,
            "samplesPerSecond": 10.0,
            "tasksPerSecond": 2.0,
            "loss": 0.5,
            "auc": 0.7,
            "gauc": 0.6,
        }
        assert status["lastCheckpoint"] == {"step": 40, "attempt": 0, "path": "a0/s40"}
        writes = server.status_writes
        operator.sync(5)
        assert (server.status_writes, len(server.made)) == (writes, 2)

    story(tell)


def test_an_export_is_told_and_kept() -> None:
    place = {"volume": "runs", "path": "exports/a", "step": 40}

    def tell(server: Server, operator: Operator) -> None:
        server.report = read_report(report(export={**place, "created": None}))
        begin(server, operator)
        status = operator.sync(5)
        assert (status["state"], status["reason"]) == ("Running", "Exporting")
        assert told(status)["Succeeded"] == ("Exporting", "step 40 is being exported to exports/a of volume runs")
        assert "export" not in status
        server.end("movies-w0-0", 0)
        made = {**place, "created": "2026-01-02T13:00:00.5+01:00"}
        server.end("movies-coordinator-0", 0, report(finished=DONE, export=made))
        status = operator.sync(5)
        assert (status["state"], status["export"]) == ("Succeeded", {**place, "created": "2026-01-02T12:00:00Z"})
        server.live.clear()
        operator.sync(1)
        assert server.job is not None
        assert server.job["status"]["export"]["step"] == 40

    story(tell)


def test_an_export_that_a_former_attempt_began_is_not_told() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begun = {"volume": "runs", "path": "exports/a", "step": 40, "created": None}
        server.report = read_report(report(attempt=7, export=begun))
        begin(server, operator)
        assert operator.sync(5)["reason"] == "Training"

    story(tell)


def test_success_takes_the_last_words_and_makes_nothing_again() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", 0)
        server.end("movies-coordinator-0", 0, report(finished=DONE))
        status = operator.sync(1)
        assert (status["state"], status["reason"]) == ("Succeeded", "Completed")
        assert conditions(status)["Succeeded"] == ("True", "Completed")
        assert conditions(status)["WorkersReady"] == ("False", "JobEnded")
        assert status["workers"] == {"desired": 1, "ready": 0}
        assert (status["progress"]["auc"], status["completionTime"]) == (0.7, "2026-01-02T12:00:02Z")
        server.live.clear()
        operator.sync(1)
        assert len(server.made) == 2

    story(tell)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "counts"),
    [
        (137, "Error", "Killed", (1, 0)),
        (137, "OOMKilled", "OutOfMemory", (1, 0)),
        (1, "Error", "Internal", (1, 0)),
        (143, "Evicted", "Infrastructure", (0, 1)),
        (143, "Error", "Interrupted", (0, 1)),
    ],
)
def test_a_failed_worker_is_replaced_alone(code: int, reason: str, kind: str, counts: tuple[int, int]) -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", code, "last words", reason)
        operator.sync()
        status = operator.sync(10)
        assert server.made[2:] == ["movies-w0-1"]
        assert (restarts(status), status["attempt"]) == (counts, 0)
        failure = status["lastFailure"]
        assert (failure["pod"], failure["exitCode"], failure["class"]) == ("movies-w0-0", code, kind)
        assert (failure["message"], failure["worker"]) == ("last words", 0)

    story(tell)


def test_a_restart_waits_for_its_back_off() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", 137)
        status = operator.sync()
        assert (len(server.made), status["state"], status["reason"]) == (2, "Restarting", "Killed")
        assert told(status)["Succeeded"] == (
            "Killed",
            "movies-w0-0 ended with exit code 137 (Killed); restart 1 of 6 at 2026-01-02T12:00:11Z",
        )
        operator.sync(9)
        assert len(server.made) == 2
        operator.sync(1)
        assert len(server.made) == 3

    story(tell)


def test_the_back_off_limit_ends_the_job() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        for number in range(2):
            server.end(f"movies-w0-{number}", 137)
            status = operator.sync(60)
        assert (status["state"], status["reason"]) == ("Failed", "BackoffLimitExceeded")
        assert server.made == ["movies-coordinator-0", "movies-w0-0", "movies-w0-1"]
        assert server.running() == []

    story(tell, faultTolerance={"backoffLimit": 1})


@pytest.mark.parametrize("code", [each for each in ExitCode if each != ExitCode.OK and not each.retryable])
def test_an_error_of_the_users_is_not_tried_again(code: ExitCode) -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", code, "INFO: reading\ngmeta: ratings.csv: no column 'rating'")
        status = operator.sync(60)
        assert status["state"] == "Failed"
        assert status["lastFailure"]["message"] == "gmeta: ratings.csv: no column 'rating'"
        assert (len(server.made), server.running()) == (2, [])

    story(tell)


def test_an_end_that_the_coordinator_knows_starts_the_group_again() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", 67)
        operator.sync()
        assert server.running() == []
        server.leave()
        status = operator.sync(10)
        assert server.made[2:] == ["movies-coordinator-1", "movies-w0-1"]
        assert status["attempt"] == 1
        assert restarts(status) == (1, 0)
        assert server.applied["Service", "movies-coordinator"]["spec"]["selector"]["gmeta.dev/attempt"] == "1"

    story(tell)


def test_a_coordinator_that_dies_without_a_word_is_replaced_alone() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-coordinator-0", 137)
        operator.sync(10)
        assert server.made[2:] == ["movies-coordinator-1"]
        assert operator.sync()["attempt"] == 0

    story(tell)


def test_a_pod_of_a_lost_node_is_replaced_while_it_is_still_there() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.stop("movies-w0-0")
        operator.sync(39)
        assert len(server.made) == 2
        status = operator.sync(1)
        assert server.made[2:] == ["movies-w0-1"]
        assert restarts(status) == (0, 1)
        assert status["lastFailure"]["class"] == "Infrastructure"

    story(tell)


def test_the_dataset_is_made_first() -> None:
    def tell(server: Server, operator: Operator) -> None:
        status = operator.sync()
        assert (server.made, status["state"]) == (["movies-prepare-0"], "Preparing")
        assert conditions(status)["DatasetReady"] == ("False", "Pending")
        server.start("movies-prepare-0")
        status = operator.sync(1)
        assert conditions(status)["DatasetReady"] == ("False", "Preparing")
        assert (operator.sync(1))["state"] == "Preparing"
        assert len(server.made) == 1
        server.end("movies-prepare-0", 0)
        status = operator.sync(1)
        assert server.made[1:] == ["movies-coordinator-0", "movies-w0-0"]
        assert conditions(status)["DatasetReady"] == ("True", "Prepared")

    story(tell, data={"volume": "all", "path": "set", "prepare": PREPARE})


def test_bad_data_found_by_the_preparation_ends_the_job() -> None:
    def tell(server: Server, operator: Operator) -> None:
        operator.sync()
        server.start("movies-prepare-0")
        operator.sync(1)
        server.end("movies-prepare-0", 65, "gmeta: ratings.csv: no column 'rating'")
        status = operator.sync(1)
        assert (status["state"], status["reason"]) == ("Failed", "BadData")
        assert conditions(status)["DatasetReady"] == ("False", "Failed")
        assert server.made == ["movies-prepare-0"]

    story(tell, data={"volume": "all", "path": "set", "prepare": PREPARE})


def test_a_rule_of_the_manifest_decides_before_the_table() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.end("movies-w0-0", 137, reason="OOMKilled")
        status = operator.sync()
        assert (status["state"], status["reason"]) == ("Failed", "OutOfMemory")

    story(tell, faultTolerance={"rules": [{"name": "memory", "reasons": ["OOMKilled"], "action": "Fail"}]})


def test_an_invalid_spec_makes_nothing() -> None:
    def tell(server: Server, operator: Operator) -> None:
        server.edit(workers={"podTemplate": {"spec": {"hostNetwork": True}}})
        status = operator.sync()
        assert server.made == []
        assert conditions(status)["Invalid"] == ("True", "SpecInvalid")
        assert status["conditions"][0]["message"].startswith("spec.workers.podTemplate.spec.hostNetwork: ")
        assert (status["state"], status["reason"]) == ("Pending", "SpecInvalid")

    story(tell)


def test_a_refused_pod_is_told_and_tried_again() -> None:
    def tell(server: Server, operator: Operator) -> None:
        server.gate = refusing("create Pod", "exceeded quota: team")
        with pytest.raises(ApiError, match="exceeded quota"):
            operator.sync()
        server.gate = welcoming
        assert server.job is not None
        status = server.job["status"]
        assert (status["state"], status["reason"]) == ("Pending", "CreateFailed")
        words = "a request was refused and is made again: exceeded quota: team"
        assert told(status)["AttemptStarted"] == ("CreateFailed", "exceeded quota: team")
        assert told(status)["CoordinatorReady"] == ("CreateFailed", "0 of 1 running; exceeded quota: team")
        assert told(status)["WorkersReady"] == ("Missing", "0 of 1 running; a pod has yet to be made")
        assert told(status)["Succeeded"] == ("CreateFailed", words)
        assert [(each["type"], each["message"]) for each in server.events.values()] == [
            ("Warning", f"Pending: {words}")
        ]
        status = operator.sync(1)
        assert conditions(status)["AttemptStarted"] == ("True", "PodsCreated")
        assert server.made == ["movies-coordinator-0", "movies-w0-0"]

    story(tell)


def test_a_missing_image_is_told() -> None:
    def tell(server: Server, operator: Operator) -> None:
        operator.sync()
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        server.set_pod("movies-w0-0", phase="Pending", containerStatuses=[{"state": {"waiting": waiting}}])
        status = operator.sync(1)
        assert conditions(status)["WorkersReady"] == ("False", "ImagePullBackOff")
        assert (status["state"], status["reason"]) == ("Pending", "ImagePullBackOff")
        assert [each["type"] for each in server.events.values()] == ["Normal", "Warning"]

    story(tell)


def test_suspend_gives_up_the_pods_and_resume_starts_a_new_attempt() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        server.edit(runPolicy={"suspend": True})
        status = operator.sync(1)
        assert (status["state"], server.running()) == ("Suspended", [])
        assert conditions(status)["WorkersReady"] == ("False", "SuspendRequested")
        server.edit(runPolicy={"suspend": False})
        status = operator.sync(1)
        assert (server.made[2:], conditions(status)["AttemptStarted"]) == ([], ("False", "Waiting"))
        server.leave()
        status = operator.sync(1)
        assert server.made[2:] == ["movies-coordinator-1", "movies-w0-1"]
        assert (status["attempt"], restarts(status)) == (1, (0, 1))

    story(tell)


def test_events_tell_each_change_once() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        operator.sync(5)
        assert [(each["type"], each["reason"]) for each in server.events.values()] == [
            ("Normal", "Starting"),
            ("Normal", "Training"),
        ]

    story(tell)


def test_an_operator_that_starts_anew_makes_nothing_twice() -> None:
    def tell(server: Server, operator: Operator) -> None:
        begin(server, operator)
        for _ in range(3):
            Operator(server).sync(60)
        assert len(server.made) == 2

    story(tell)
