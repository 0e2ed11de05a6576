"""What a coordinator answers is bounded: it runs in a pod with its author's code."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gmeta_operator.coordinator import MOST_BYTES, ask_coordinator
from gmeta_operator.report import Report

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer_of(handler: Handler) -> tuple[Report | None, list[str]]:
    """What is read from a coordinator that answers so, and the paths that it was asked for."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await handler(request)

    async def ask() -> Report | None:
        application = web.Application()
        application.router.add_get("/{path:.*}", handle)
        async with TestServer(application, host="127.0.0.1") as server, aiohttp.ClientSession() as session:
            assert server.port is not None
            return await ask_coordinator(session, "127.0.0.1", server.port)

    return asyncio.run(ask()), asked


def says(text: str, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return handler


def test_a_status_document_is_read() -> None:
    assert answer_of(says('{"attempt": 3}')) == (Report(attempt=3), ["/v1/status"])


@pytest.mark.parametrize("body", ["", "null", '{"attempt": "many"}', "<html>"])
def test_what_is_no_status_document_is_passed_over(body: str) -> None:
    assert answer_of(says(body))[0] is None


def test_an_error_is_passed_over() -> None:
    assert answer_of(says('{"attempt": 3}', status=500))[0] is None


def test_a_redirect_is_not_followed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return web.Response(text='{"attempt": 3}')
        raise web.HTTPFound("/elsewhere")

    assert answer_of(handler) == (None, ["/v1/status"])


def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 64 * MOST_BYTES:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    assert answer_of(handler)[0] is None
    assert sent < 64 * MOST_BYTES


def test_the_longest_answer_that_is_read() -> None:
    document = '{"attempt": 3}'
    assert answer_of(says(document + " " * (MOST_BYTES - len(document))))[0] == Report(attempt=3)
    assert answer_of(says(document + " " * (MOST_BYTES - len(document) + 1)))[0] is None
