"""The coordinator's HTTP interface, version 1: one POST a message, GET for status, health and metrics."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError

from gmeta_api.errors import CheckpointError
from gmeta_worker.coordination.exposition import exposition
from gmeta_worker.coordination.job import Job
from gmeta_worker.coordination.messages import (
    API_VERSION,
    Beat,
    Evaluation,
    Export,
    Finish,
    Join,
    Leave,
    Message,
    Progress,
    Refusal,
    ShardWritten,
)

BODY_BYTES = 4 * 2**20
ROUTES: dict[str, type[Message]] = {
    "join": Join,
    "beat": Beat,
    "leave": Leave,
    "progress": Progress,
    "evaluation": Evaluation,
    "shard-written": ShardWritten,
    "export": Export,
    "finish": Finish,
}

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers requests from a job's state.

    Args:
        job: the job, which only this server changes from now on.
        handled: called after every message.
    """

    def __init__(self, job: Job, handled: Callable[[], None]) -> None:
        self._job = job
        self._handled = handled
        self._turn = asyncio.Lock()

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[_explain])
        for name, kind in ROUTES.items():
            app.router.add_post(f"/{API_VERSION}/{name}", self._handler(kind))
        app.router.add_get(f"/{API_VERSION}/status", self._status)
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_route("*", "/{tail:.*}", _unknown)
        return app

    def _handler(self, kind: type[Message]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            message = kind.model_validate_json(await request.read())
            async with self._turn:
                reply = await asyncio.to_thread(self._job.handle, message)
            self._handled()
            status = HTTPStatus.CONFLICT if isinstance(reply, Refusal) else HTTPStatus.OK
            return _json(reply, status)

        return handle

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._job.status())

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=exposition(self._job.status()), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _unknown(request: web.Request) -> web.Response:
    known = ", ".join(f"POST /{API_VERSION}/{name}" for name in ROUTES)
    another_version = re.match(r"/v\d+/", request.path) and not request.path.startswith(f"/{API_VERSION}/")
    kind = web.HTTPBadRequest if another_version else web.HTTPNotFound
    raise kind(
        text=f"{request.method} {request.path} is unknown; this coordinator speaks version {API_VERSION}: {known}, "
        f"GET /{API_VERSION}/status, GET /healthz, GET /metrics"
    )


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a refusal that says so."""
    try:
        return await handler(request)
    except ValidationError as error:
        return _refuse(HTTPStatus.BAD_REQUEST, f"{request.path}: {_problems(error)}")
    except CheckpointError as error:
        return _json(Refusal(reason="checkpoint", message=str(error)), HTTPStatus.INSUFFICIENT_STORAGE)
    except web.HTTPException as error:
        return _refuse(HTTPStatus(error.status), error.text or error.reason)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_url=False)[:5]
    )


def _refuse(status: HTTPStatus, message: str) -> web.Response:
    log.warning("refused: %s", message)
    return _json(Refusal(reason="invalid", message=message), status)


def _json(value: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(text=value.model_dump_json(), content_type="application/json", status=status)
