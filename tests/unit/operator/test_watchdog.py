"""A watch that is silently dead is noticed, a quiet or late one is not taken for dead."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gmeta_api.objects import JOB_LABEL
from gmeta_api.spec import KIND
from gmeta_operator.client import Api, ApiError, Version
from gmeta_operator.watchdog import Versions, Watchdog

DEAD = "the watch of Pods is dead: it tells nothing, for 60 s not even of movies-w0-0"


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*given, **named), 30))

    return run


def thing(name: str, version: int, namespace: str = "team") -> dict[str, Any]:
    return {
        "metadata": {"uid": f"uid of {name}", "name": name, "namespace": namespace, "resourceVersion": str(version)}
    }


class Cluster:
    """What there is, and a watchdog that hears of it or not; `meanwhile` happens within its grace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...] = ()) -> None:
        self.there: dict[tuple[str, str | None], dict[str, Version]] = {}
        self.watchdog = Watchdog(self, namespaces)
        self.meanwhile: Callable[[], None] = lambda: None
        self.refused = False
        monkeypatch.setattr(asyncio, "sleep", self._pass)

    async def list_versions(self, kind: str, namespace: str | None, selector: str) -> Versions:
        assert selector == {KIND: "", "Pod": JOB_LABEL}[kind]
        if self.refused:
            raise ApiError(0, "no answer")
        return dict(self.there.get((kind, namespace), {}))

    def put(self, kind: str, name: str, version: int, namespace: str | None = None) -> None:
        self.there.setdefault((kind, namespace), {})[f"uid of {name}"] = Version(name, version)

    def hear(self, kind: str, name: str, version: int, event: str | None = "MODIFIED", namespace: str = "team") -> None:
        self.watchdog.hear(kind, event, thing(name, version, namespace))

    async def _pass(self, seconds: float) -> None:
        self.meanwhile()

    async def trouble(self) -> str | None:
        await self.watchdog.check()
        return self.watchdog.trouble


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


@in_a_loop
async def test_a_quiet_cluster_is_no_trouble_however_long(cluster: Cluster) -> None:
    assert await cluster.trouble() is None
    cluster.put("Pod", "movies-w0-0", 7)
    cluster.hear("Pod", "movies-w0-0", 7)
    assert [await cluster.trouble() for _ in range(3)] == [None] * 3


@in_a_loop
async def test_a_change_that_is_never_told_is_a_dead_watch_until_it_is_told(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.hear("Pod", "movies-w0-0", 7)
    cluster.hear(KIND, "movies", 8)
    cluster.put("Pod", "movies-w0-0", 9)
    cluster.put(KIND, "movies", 8)
    cluster.meanwhile = lambda: cluster.hear(KIND, "movies", 8)  # the other watch lives
    assert await cluster.trouble() == DEAD
    assert [f"{DEAD}; the liveness probe fails until it tells of anything"] == caplog.messages
    cluster.hear("Pod", "movies-w0-0", 9)
    assert cluster.watchdog.trouble is None
    assert await cluster.trouble() is None


@in_a_loop
async def test_a_new_object_that_is_never_told_is_a_dead_watch(cluster: Cluster) -> None:
    cluster.put(KIND, "movies", 3)
    words = "the watch of MetaTrainingJobs is dead: it tells nothing, for 60 s not even of movies"
    assert await cluster.trouble() == words


@in_a_loop
async def test_an_event_may_be_late(cluster: Cluster) -> None:
    cluster.put("Pod", "movies-w0-0", 9)
    cluster.meanwhile = lambda: cluster.hear("Pod", "movies-w0-0", 10)
    assert await cluster.trouble() is None


@in_a_loop
async def test_a_busy_watch_that_is_behind_is_not_dead(cluster: Cluster) -> None:
    cluster.put("Pod", "movies-w0-0", 9)
    cluster.meanwhile = lambda: cluster.hear("Pod", "others", 5)
    assert await cluster.trouble() is None


@in_a_loop
async def test_what_is_deleted_meanwhile_is_not_missed(cluster: Cluster) -> None:
    cluster.put("Pod", "movies-w0-0", 9)
    cluster.meanwhile = cluster.there.clear
    assert await cluster.trouble() is None
    cluster.hear("Pod", "movies-w0-0", 9, "DELETED")
    cluster.put("Pod", "movies-w0-0", 9)  # a list that began before
    assert await cluster.trouble() is None


@in_a_loop
async def test_streams_of_namespaces_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, ("a", "b"))
    cluster.put("Pod", "one", 5, "a")
    cluster.put("Pod", "two", 5, "b")
    cluster.hear("Pod", "one", 5, namespace="a")
    cluster.meanwhile = lambda: cluster.hear("Pod", "one", 6, namespace="a")
    words = "the watch of Pods in b is dead: it tells nothing, for 60 s not even of two"
    assert await cluster.trouble() == words


@in_a_loop
async def test_an_api_server_that_does_not_answer_says_nothing_about_the_watches(cluster: Cluster) -> None:
    cluster.refused = True
    with pytest.raises(ApiError):
        await cluster.watchdog.check()
    assert cluster.watchdog.trouble is None


@in_a_loop
async def test_versions_are_listed_page_by_page() -> None:
    asked: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        more = request.query["continue"]
        asked.append((request.path, request.query["labelSelector"], more))
        items = [{"metadata": thing("second" if more else "first", 4)["metadata"]}]
        assert "as=PartialObjectMetadataList" in request.headers["Accept"]
        return web.json_response({"metadata": {"continue": "" if more else "next"}, "items": items})

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", handle)
    async with TestServer(app) as server:
        connection = kopf.ConnectionInfo(server=str(server.make_url("/")))
        async with Api(lambda: connection, lambda *_: None) as api:
            found = await api.list_versions(KIND, None, "")
            await api.list_versions("Pod", "team", JOB_LABEL)
    assert found == {"uid of first": Version("first", 4), "uid of second": Version("second", 4)}
    everywhere = "/apis/gmeta.dev/v1alpha1/metatrainingjobs"
    assert asked[:3] == [
        (everywhere, "", ""),
        (everywhere, "", "next"),
        ("/api/v1/namespaces/team/pods", JOB_LABEL, ""),
    ]


@in_a_loop
async def test_a_server_may_send_null_for_an_empty_list() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": None})

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", handle)
    async with TestServer(app) as server:
        connection = kopf.ConnectionInfo(server=str(server.make_url("/")))
        async with Api(lambda: connection, lambda *_: None) as api:
            assert await api.list_versions(KIND, None, "") == {}
            assert await api.list_pods("team", JOB_LABEL) == ([], 7)
