import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from gmeta_api.document import JobDocument
from gmeta_worker.coordination.job import open_job
from gmeta_worker.coordination.messages import Refusal
from gmeta_worker.coordination.server import BODY_BYTES, Server
from gmeta_worker.coordination.status import Status

Talk = Callable[[Any], Awaitable[None]]


@pytest.fixture
def serve(make_document: Callable[..., JobDocument], tmp_path: Path) -> Callable[[Talk], None]:
    """Runs a conversation with a server."""

    async def run(talk: Talk) -> None:
        with open_job(make_document(), tmp_path) as job:
            server = TestServer(Server(job, lambda: None).application())
            async with TestClient(server) as client:
                await talk(client)

    return lambda talk: asyncio.run(run(talk))


async def refused(response: ClientResponse, status: int) -> str:
    assert response.status == status
    assert response.content_type == "application/json"
    refusal = Refusal.model_validate_json(await response.text())
    assert refusal.reason == "invalid"
    return refusal.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"[]", "body: Input should be an object"),
        (b"\xff", "body: Invalid JSON: expected value at line 1 column 1"),
        (
            b'{"attempt": 0, "worker": -1, "host": "h", "port": 1, "ranks": 1, "process": "12345678"}',
            "worker: Input should be greater than or equal to 0",
        ),
        (
            b'{"attempt": 0, "worker": 0, "host": "h", "port": "x", "ranks": 1, "process": "1234", "extra": 1}',
            "process: String should have at least 8 characters; "
            "port: Input should be a valid integer, unable to parse string as an integer; "
            "extra: Extra inputs are not permitted",
        ),
        (
            b'{"kind": "finish", "attempt": 0, "worker": 0, "host": "h", "port": 1, "ranks": 1, "process": "12345678"}',
            "kind: Input should be 'join'",
        ),
    ],
)
def test_a_bad_message_is_explained(body: bytes, message: str, serve: Callable[[Talk], None]) -> None:
    async def talk(client: Any) -> None:
        assert await refused(await client.post("/v1/join", data=body), 400) == f"/v1/join: {message}"

    serve(talk)


def test_unknown_addresses_and_versions_are_explained(serve: Callable[[Talk], None]) -> None:
    known = (
        "is unknown; this coordinator speaks version v1: POST /v1/join, POST /v1/beat, POST /v1/leave, "
        "POST /v1/progress, POST /v1/evaluation, POST /v1/shard-written, POST /v1/export, POST /v1/finish, "
        "GET /v1/status, GET /healthz, GET /metrics"
    )

    async def talk(client: Any) -> None:
        assert await refused(await client.post("/v2/join"), 400) == f"POST /v2/join {known}"
        assert await refused(await client.get("/v1/states"), 404) == f"GET /v1/states {known}"
        assert await refused(await client.get("/v1/join"), 404) == f"GET /v1/join {known}"

    serve(talk)


def test_a_body_that_is_too_large_is_refused(serve: Callable[[Talk], None]) -> None:
    async def talk(client: Any) -> None:
        message = await refused(await client.post("/v1/join", data=io.BytesIO(b" " * (BODY_BYTES + 1))), 413)
        assert f"Maximum request body size {BODY_BYTES} exceeded" in message

    serve(talk)


def test_a_stale_sender_gets_a_conflict(serve: Callable[[Talk], None], messages: Any) -> None:
    async def talk(client: Any) -> None:
        response = await client.post("/v1/progress", data=messages.progress(attempt=4).model_dump_json())
        assert response.status == 409
        assert (await response.json())["reason"] == "fenced"

    serve(talk)


def test_a_commit_that_cannot_be_made_is_the_checkpoints_fault(serve: Callable[[Talk], None], messages: Any) -> None:
    async def talk(client: Any) -> None:
        await client.post("/v1/join", data=messages.join().model_dump_json())
        response = await client.post("/v1/shard-written", data=messages.shard(5).model_dump_json())
        assert response.status == 507
        refusal = await response.json()
        assert refusal["reason"] == "checkpoint"
        assert refusal["message"].endswith(
            "a0/s5/dense.g1.safetensors: the worker wrote 8 bytes, on the coordinator's volume the file is missing; "
            "mount the same checkpoint volume in both"
        )

    serve(talk)


def test_status_health_and_metrics(serve: Callable[[Talk], None], messages: Any) -> None:
    async def talk(client: Any) -> None:
        assert await (await client.get("/healthz")).text() == "ok\n"
        before = samples(await (await client.get("/metrics")).text())
        assert before["gmeta_job_state", "pending"] == 1.0
        assert ("gmeta_job_step", "") not in before, "a number that is not known has no sample"
        for path, message in (("join", messages.join()), ("progress", messages.progress(3))):
            assert (await client.post(f"/v1/{path}", data=message.model_dump_json())).status == 200
        status = Status.model_validate_json(await (await client.get("/v1/status")).text())
        assert (status.state, status.generation, status.progress and status.progress.step) == ("running", 1, 3)
        after = samples(await (await client.get("/metrics")).text())
        assert after["gmeta_job_state", "running"] == 1.0
        assert after["gmeta_job_state", "pending"] == 0.0
        assert after["gmeta_job_step", ""] == 3.0
        assert after["gmeta_job_samples", ""] == 150.0

    serve(talk)


def samples(text: str) -> dict[tuple[str, str], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels["job_name"], sample.labels["namespace"]) == ("demo", "default")
            found[sample.name, sample.labels.get("state", "")] = sample.value
    return found
