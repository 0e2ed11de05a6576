"""What the operator counts."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from simulated import Server, manifest, refusing, welcoming
from simulated_operator import Operator

from gmeta_operator.client import ApiError, verb_and_resource
from gmeta_operator.metrics import OTHER, STATES, OperatorMetrics
from gmeta_operator.work_queue import WorkQueue


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def value(metrics: OperatorMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gmeta_operator_{name}", labels)


@in_a_loop
async def test_passes_are_timed_and_failures_counted_by_cause() -> None:
    metrics = OperatorMetrics()
    with metrics.reconciling(waited=0.2):
        await asyncio.sleep(0.02)
    for error in (ApiError(500, "no"), ApiError(403, "no"), KeyError("bug")):
        with pytest.raises(type(error)), metrics.reconciling(waited=0.0):
            raise error
    assert value(metrics, "reconcile_seconds_count") == 4
    assert 0.02 <= (value(metrics, "reconcile_seconds_sum") or 0) < 0.2
    assert value(metrics, "queue_seconds_sum") == 0.2
    assert value(metrics, "reconcile_errors_total", cause="api") == 2
    assert value(metrics, "reconcile_errors_total", cause="internal") == 1


@in_a_loop
async def test_the_queue_knows_who_waits_since_when_and_who_tries_again() -> None:
    metrics, queue, loop = OperatorMetrics(), WorkQueue(), asyncio.get_running_loop()
    metrics.show_queue(waiting=lambda: len(queue), retrying=lambda: queue.retrying)
    before = loop.time()
    queue.add(("a", "a"))
    queue.add(("a", "b"))
    assert value(metrics, "queue_depth") == 2
    await asyncio.sleep(0.02)
    key = await queue.get()
    assert before <= queue.added(key) <= before + 0.02
    queue.failed(key)
    assert (value(metrics, "queue_depth"), value(metrics, "queue_retrying")) == (1, 1)
    queue.done(await queue.get())
    await asyncio.sleep(0.25)
    queue.done(await queue.get())
    assert (value(metrics, "queue_depth"), value(metrics, "queue_retrying")) == (0, 0)


@in_a_loop
async def test_the_queue_knows_for_how_long_nothing_was_ended_while_keys_wait() -> None:
    queue = WorkQueue()
    await asyncio.sleep(0.02)
    assert queue.stalled == 0
    queue.add(("a", "a"))
    queue.add(("a", "b"))
    await asyncio.sleep(0.02)
    assert 0.02 <= queue.stalled < 0.04 + 1
    queue.done(await queue.get())
    assert queue.stalled < 0.02
    await queue.get()
    assert queue.stalled == 0


def test_jobs_are_counted_by_state_anew_each_time() -> None:
    metrics = OperatorMetrics()
    jobs: list[dict[str, Any]] = []
    metrics.show_jobs(lambda: jobs)
    assert {state: value(metrics, "jobs", state=state) for state in (*STATES, OTHER)} == dict.fromkeys(
        (*STATES, OTHER), 0
    )
    jobs += [{}, {"status": {"state": "Running"}}, {"status": {"state": "Running"}}, {"status": {"state": "made up"}}]
    found = {state: value(metrics, "jobs", state=state) for state in (*STATES, OTHER)}
    assert {state: count for state, count in found.items() if count} == {"Pending": 1, "Running": 2, "Other": 1}


def test_the_time_of_an_export_is_that_of_the_status() -> None:
    def exported(name: str, created: str) -> dict[str, Any]:
        status = {"export": {"volume": "runs", "path": "exports/a", "step": 5, "created": created}}
        return {"metadata": {"namespace": "team", "name": name}, "status": status}

    metrics = OperatorMetrics()
    jobs = [exported("first", "1970-01-02T00:00:00Z"), exported("wrong", "yesterday"), exported("naive", "1970-01-02")]
    metrics.show_jobs(lambda: [*jobs, {"metadata": {}}])
    (family,) = (each for each in metrics.registry.collect() if each.name == "gmeta_job_export_created_seconds")
    labels = {"namespace": "team", "job_name": "first", "volume": "runs", "path": "exports/a"}
    assert [(sample.labels, sample.value) for sample in family.samples] == [(labels, 86400.0)]


@in_a_loop
async def test_the_first_pods_of_a_new_job_are_timed_once() -> None:
    server = Server(manifest(workers={"replicas": 1}))
    operator = Operator(server)
    metrics = operator.controller.metrics
    server.gate = refusing("create Pod")
    with pytest.raises(ApiError):
        operator.sync()
    assert value(metrics, "pods_created_seconds_count") == 0
    server.gate = welcoming
    operator.sync()
    server.live.clear()
    operator.sync()
    assert value(metrics, "pods_created_seconds_count") == 1
    reborn = Operator(server)
    server.live.clear()
    reborn.sync()
    assert value(reborn.controller.metrics, "pods_created_seconds_count") == 0, "a job that another life has seen"


@in_a_loop
async def test_restarts_ends_and_polls_are_counted() -> None:
    server = Server(manifest(workers={"replicas": 1}, faultTolerance={"backoffLimit": 1, "restartBackoffSeconds": 1}))
    operator = Operator(server)
    metrics = operator.controller.metrics
    operator.sync()
    for name in list(server.live):
        server.start(name)
    operator.sync()
    server.end("movies-w0-0", 137)
    operator.sync(seconds=5)
    operator.sync(seconds=5)
    server.end("movies-w0-1", 137)
    operator.sync(seconds=5)
    operator.sync(seconds=5)
    assert value(metrics, "restarts_total", kind="counted") == 1
    assert value(metrics, "restarts_total", kind="uncounted") == 0
    assert value(metrics, "jobs_ended_total", state="Failed", reason="BackoffLimitExceeded") == 1
    assert (value(metrics, "polls_total", outcome="failed") or 0) >= 2, "this coordinator never answers"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PATCH", "/api/v1/namespaces/pods/services/movies-coordinator", ("apply", "services")),
        ("PATCH", "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/movies", ("apply", "networkpolicies")),
        (
            "PATCH",
            "/apis/gmeta.dev/v1alpha1/namespaces/a/metatrainingjobs/movies/status",
            ("apply", "metatrainingjobs/status"),
        ),
        ("POST", "/api/v1/namespaces/a/pods", ("create", "pods")),
        ("DELETE", "/api/v1/namespaces/a/pods/movies-w0-0", ("delete", "pods")),
        ("GET", "/api/v1/namespaces/a/pods", ("list", "pods")),
        ("GET", "/api/v1/pods", ("list", "pods")),
        ("GET", "/apis/gmeta.dev/v1alpha1/namespaces/a/metatrainingjobs/movies", ("get", "metatrainingjobs")),
    ],
)
def test_a_request_is_named_by_verb_and_resource(method: str, path: str, expected: tuple[str, str]) -> None:
    assert verb_and_resource(method, path) == expected
