"""What the operator does about what happens to a job, through the real controller over a simulated API server."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from simulated import NOON, Process, Server, conditions, manifest

from gmeta_api.exit_codes import ExitCode
from gmeta_operator.client import ApiError
from gmeta_operator.report import read_report

PREPARE = {
    "source": "ratings.csv",
    "task": ["user"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [{"name": "movie", "type": "categorical", "columns": ["movie"]}],
    "supportOrder": {"by": "seed"},
    "split": {"by": "task", "train": 0.8, "valid": 0.1, "test": 0.1},
}
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


def story(tell: Callable[[Server, Process], Coroutine[Any, Any, None]], **groups: Any) -> Server:
    """Run a story about a job on a fresh server."""
    server = Server(manifest(**groups))
    asyncio.run(tell(server, Process(server)))
    return server


async def begin(server: Server, process: Process) -> None:
    await process.sync()
    server.start("movies-coordinator-0")
    server.start("movies-w0-0")
    await process.sync(1)


def test_first_sight_makes_everything_and_sets_every_condition() -> None:
    async def tell(server: Server, process: Process) -> None:
        status = await process.sync()
        assert conditions(status) == {
            "Invalid": ("False", "SpecValid"),
            "Suspended": ("False", "NotSuspended"),
            "DatasetReady": ("True", "NoPreparation"),
            "CoordinatorReady": ("False", "Missing"),
            "WorkersReady": ("False", "Missing"),
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
    async def tell(server: Server, process: Process) -> None:
        process.report = read_report(report(last_evaluation={"rows": [{"adapted": True, "gauc": 0.6}]}))
        await begin(server, process)
        status = await process.sync(5)
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
        await process.sync(5)
        assert (server.status_writes, len(server.made)) == (writes, 2)

    story(tell)


def test_success_takes_the_last_words_and_makes_nothing_again() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", 0, process.now)
        server.end("movies-coordinator-0", 0, process.now, report(finished=DONE))
        status = await process.sync(1)
        assert (status["state"], status["reason"]) == ("Succeeded", "Completed")
        assert conditions(status)["Succeeded"] == ("True", "Completed")
        assert (status["progress"]["auc"], status["completionTime"]) == (0.7, "2026-01-02T12:00:02Z")
        server.live.clear()
        await process.sync(1)
        assert len(server.made) == 2

    story(tell)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "restarts"),
    [
        (137, "Error", "Killed", {"counted": 1, "uncounted": 0}),
        (137, "OOMKilled", "OutOfMemory", {"counted": 1, "uncounted": 0}),
        (1, "Error", "Internal", {"counted": 1, "uncounted": 0}),
        (143, "Evicted", "Infrastructure", {"counted": 0, "uncounted": 1}),
        (143, "Error", "Interrupted", {"counted": 0, "uncounted": 1}),
    ],
)
def test_a_failed_worker_is_replaced_alone(code: int, reason: str, kind: str, restarts: dict[str, int]) -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", code, process.now, "last words", reason)
        await process.sync()
        status = await process.sync(10)
        assert server.made[2:] == ["movies-w0-1"]
        assert (status["restarts"], status["attempt"]) == (restarts, 0)
        failure = status["lastFailure"]
        assert (failure["pod"], failure["exitCode"], failure["class"]) == ("movies-w0-0", code, kind)
        assert (failure["message"], failure["rank"]) == ("last words", 0)

    story(tell)


def test_a_restart_waits_for_its_back_off() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", 137, process.now)
        status = await process.sync()
        assert (len(server.made), status["state"], status["reason"]) == (2, "Restarting", "Killed")
        await process.sync(9)
        assert len(server.made) == 2
        await process.sync(1)
        assert len(server.made) == 3

    story(tell)


def test_the_back_off_limit_ends_the_job() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        for number in range(2):
            server.end(f"movies-w0-{number}", 137, process.now)
            status = await process.sync(60)
        assert (status["state"], status["reason"]) == ("Failed", "BackoffLimitExceeded")
        assert server.made == ["movies-coordinator-0", "movies-w0-0", "movies-w0-1"]
        assert server.running() == []

    story(tell, faultTolerance={"backoffLimit": 1})


@pytest.mark.parametrize("code", [each for each in ExitCode if each != ExitCode.OK and not each.retryable])
def test_an_error_of_the_users_is_not_tried_again(code: ExitCode) -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", code, process.now, "INFO: reading\ngmeta: ratings.csv: no column 'rating'")
        status = await process.sync(60)
        assert status["state"] == "Failed"
        assert status["lastFailure"]["message"] == "gmeta: ratings.csv: no column 'rating'"
        assert (len(server.made), server.running()) == (2, [])

    story(tell)


def test_an_end_that_the_coordinator_knows_starts_the_group_again() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", 67, process.now)
        await process.sync()
        assert server.running() == []
        status = await process.sync(10)
        assert server.made[2:] == ["movies-coordinator-1", "movies-w0-1"]
        assert status["attempt"] == 1
        assert (status["restarts"]["counted"], status["restarts"]["uncounted"]) == (1, 0)
        assert server.applied["Service", "movies-coordinator"]["spec"]["selector"]["gmeta.dev/attempt"] == "1"

    story(tell)


def test_a_coordinator_that_dies_without_a_word_is_replaced_alone() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-coordinator-0", 137, process.now)
        await process.sync(10)
        assert server.made[2:] == ["movies-coordinator-1"]
        assert server.job["status"]["attempt"] == 0

    story(tell)


def test_a_pod_of_a_lost_node_is_replaced_while_it_is_still_there() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.live["movies-w0-0"]["metadata"]["deletionTimestamp"] = process.now.isoformat()
        server.start("movies-w0-0")
        await process.sync(5)
        assert len(server.made) == 2
        status = await process.sync(5)
        assert server.made[2:] == ["movies-w0-1"]
        assert status["restarts"] == {"counted": 0, "uncounted": 1}
        assert status["lastFailure"]["class"] == "Infrastructure"

    story(tell)


def test_the_dataset_is_made_first() -> None:
    async def tell(server: Server, process: Process) -> None:
        status = await process.sync()
        assert (server.made, status["state"]) == (["movies-prepare-0"], "Preparing")
        assert conditions(status)["DatasetReady"] == ("False", "Missing")
        server.start("movies-prepare-0")
        status = await process.sync(1)
        assert conditions(status)["DatasetReady"] == ("False", "Preparing")
        assert (await process.sync(1))["state"] == "Preparing"
        assert len(server.made) == 1
        server.end("movies-prepare-0", 0, process.now)
        status = await process.sync(1)
        assert server.made[1:] == ["movies-coordinator-0", "movies-w0-0"]
        assert conditions(status)["DatasetReady"] == ("True", "Prepared")

    story(tell, data={"volume": "all", "path": "set", "prepare": PREPARE})


def test_bad_data_found_by_the_preparation_ends_the_job() -> None:
    async def tell(server: Server, process: Process) -> None:
        await process.sync()
        server.start("movies-prepare-0")
        await process.sync(1)
        server.end("movies-prepare-0", 65, process.now, "gmeta: ratings.csv: no column 'rating'")
        status = await process.sync(1)
        assert (status["state"], status["reason"]) == ("Failed", "BadData")
        assert conditions(status)["DatasetReady"] == ("False", "Failed")
        assert server.made == ["movies-prepare-0"]

    story(tell, data={"volume": "all", "path": "set", "prepare": PREPARE})


def test_a_rule_of_the_manifest_decides_before_the_table() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.end("movies-w0-0", 137, process.now, reason="OOMKilled")
        assert (await process.sync())["reason"] == "OutOfMemory"
        assert server.job["status"]["state"] == "Failed"

    story(tell, faultTolerance={"rules": [{"name": "memory", "reasons": ["OOMKilled"], "action": "Fail"}]})


def test_an_invalid_spec_makes_nothing() -> None:
    async def tell(server: Server, process: Process) -> None:
        server.job["spec"]["workers"] = {"podTemplate": {"spec": {"hostNetwork": True}}}
        status = await process.sync()
        assert server.made == []
        assert conditions(status)["Invalid"] == ("True", "SpecInvalid")
        assert status["conditions"][0]["message"].startswith("spec.workers.podTemplate.spec.hostNetwork: ")
        assert (status["state"], status["reason"]) == ("Pending", "SpecInvalid")

    story(tell)


def test_a_refused_pod_is_told_and_tried_again() -> None:
    async def tell(server: Server, process: Process) -> None:
        server.refuse = "exceeded quota: team"
        with pytest.raises(ApiError, match="exceeded quota"):
            await process.sync()
        status = server.job["status"]
        assert conditions(status)["WorkersReady"] == ("False", "CreateFailed")
        assert "exceeded quota: team" in status["conditions"][4]["message"]
        server.refuse = None
        await process.sync(1)
        assert len(server.made) == 2

    story(tell)


def test_a_missing_image_is_told() -> None:
    async def tell(server: Server, process: Process) -> None:
        await process.sync()
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        server.set_pod("movies-w0-0", phase="Pending", containerStatuses=[{"state": {"waiting": waiting}}])
        status = await process.sync(1)
        assert conditions(status)["WorkersReady"] == ("False", "ImagePullBackOff")
        assert (status["state"], status["reason"]) == ("Pending", "ImagePullBackOff")

    story(tell)


def test_suspend_gives_up_the_pods_and_resume_starts_a_new_attempt() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        server.job["spec"]["runPolicy"] = {"suspend": True}
        status = await process.sync(1)
        assert (status["state"], server.running()) == ("Suspended", [])
        server.job["spec"]["runPolicy"] = {"suspend": False}
        status = await process.sync(1)
        assert server.made[2:] == ["movies-coordinator-1", "movies-w0-1"]
        assert (status["attempt"], status["restarts"]) == (1, {"counted": 0, "uncounted": 1})

    story(tell)


def test_events_tell_each_change_once() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        await process.sync(5)
        assert [(each["type"], each["reason"]) for each in server.events.values()] == [
            ("Normal", "Starting"),
            ("Normal", "Training"),
        ]

    story(tell)


def test_an_operator_that_starts_anew_makes_nothing_twice() -> None:
    async def tell(server: Server, process: Process) -> None:
        await begin(server, process)
        for _ in range(3):
            await Process(server, NOON).sync(60)
        assert len(server.made) == 2

    story(tell)
