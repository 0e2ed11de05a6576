"""What the client says to the API server, over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gmeta_operator.client import Api, ApiError

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "team", "name": "movies-w0-0"}}
JOB = {
    "apiVersion": "gmeta.dev/v1alpha1",
    "kind": "MetaTrainingJob",
    "metadata": {"namespace": "team", "name": "movies", "uid": "u-1", "resourceVersion": "7", "labels": {"a": "b"}},
}
JOB_PATH = "/apis/gmeta.dev/v1alpha1/namespaces/team/metatrainingjobs/movies"


class Answering:
    """An API server that gives one answer, and keeps what was asked."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path, dict(request.query), body))
        return web.json_response(self.answer, status=self.status)

    def ask(self, question: Callable[[Api], Awaitable[Any]]) -> Any:
        async def talk() -> Any:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self.handle)
            async with TestServer(app) as server:
                address = str(server.make_url("/"))
                login = lambda: kopf.ConnectionInfo(server=address)  # noqa: E731  # two lines would say no more
                async with Api(login, lambda *_: None) as api:
                    return await question(api)

        return asyncio.run(talk())


def test_a_pod_is_deleted_by_uid() -> None:
    server = Answering({})
    server.ask(lambda api: api.delete_pod("team", "movies-w0-0", "p-1"))
    ((method, path, _, body),) = server.asked
    assert (method, path) == ("DELETE", "/api/v1/namespaces/team/pods/movies-w0-0")
    assert body["preconditions"] == {"uid": "p-1"}


GROUP = {
    "apiVersion": "scheduling.volcano.sh/v1beta1",
    "kind": "PodGroup",
    "metadata": {"namespace": "team", "name": "movies"},
}
GROUP_PATH = "/apis/scheduling.volcano.sh/v1beta1/namespaces/team/podgroups/movies"


@pytest.mark.parametrize(("answer", "status"), [({}, 200), ({"message": "not found"}, 404)])
def test_a_group_is_deleted_whether_it_is_there_or_not(answer: Any, status: int) -> None:
    server = Answering(answer, status)
    server.ask(lambda api: api.delete(dict(GROUP)))
    assert server.asked == [("DELETE", GROUP_PATH, {}, None)]


def test_a_deletion_that_is_refused_is_told() -> None:
    with pytest.raises(ApiError, match="forbidden"):
        Answering({"message": "forbidden"}, 403).ask(lambda api: api.delete(dict(GROUP)))


def test_a_group_is_applied_under_the_api_of_its_scheduler() -> None:
    server = Answering(GROUP)
    server.ask(lambda api: api.apply(dict(GROUP)))
    assert server.asked == [("PATCH", GROUP_PATH, {"fieldManager": "gmeta-operator", "force": "true"}, GROUP)]


def test_a_pod_is_created_and_never_merged_into_another() -> None:
    server = Answering({"message": "movies-w0-0 already exists"}, 409)
    with pytest.raises(ApiError, match="already exists") as caught:
        server.ask(lambda api: api.create(dict(POD)))
    assert caught.value.status == 409
    assert server.asked == [("POST", "/api/v1/namespaces/team/pods", {"fieldManager": "gmeta-operator"}, POD)]


def test_a_status_is_for_one_version_of_one_job() -> None:
    server = Answering(JOB)
    server.ask(lambda api: api.apply_status(JOB, {"state": "Running"}))
    ((method, path, query, body),) = server.asked
    assert (method, path) == ("PATCH", f"{JOB_PATH}/status")
    assert query == {"fieldManager": "gmeta-operator", "force": "true"}
    assert body["status"] == {"state": "Running"}
    assert body["metadata"] == {"namespace": "team", "name": "movies", "uid": "u-1", "resourceVersion": "7"}


def test_a_list_knows_its_version() -> None:
    server = Answering({"metadata": {"resourceVersion": "42"}, "items": [{"metadata": POD["metadata"]}]})
    assert server.ask(lambda api: api.list_pods("team", "gmeta.dev/job=movies")) == ([POD], 42)
    assert server.asked == [("GET", "/api/v1/namespaces/team/pods", {"labelSelector": "gmeta.dev/job=movies"}, None)]


@pytest.mark.parametrize(("status", "answer", "found"), [(200, JOB, JOB), (404, {"message": "not found"}, None)])
def test_a_job_is_there_or_not(status: int, answer: Any, found: Any) -> None:
    server = Answering(answer, status)
    assert server.ask(lambda api: api.get_job("team", "movies")) == found
    assert server.asked == [("GET", JOB_PATH, {}, None)]


def test_a_failure_is_not_taken_for_the_jobs_absence() -> None:
    with pytest.raises(ApiError, match="overloaded"):
        Answering({"message": "overloaded"}, 500).ask(lambda api: api.get_job("team", "movies"))
