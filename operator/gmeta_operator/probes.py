"""Served outside of kopf: /healthz while the process works, /readyz while it leads or stands by, and /metrics."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

Check = Callable[[], tuple[bool, str]]
"""Whether all is well, and why."""


async def serve_probes(port: int, healthy: Check, ready: Check, registry: CollectorRegistry) -> None:
    """Serve until cancelled."""
    runner = web.AppRunner(probes(healthy, ready, registry), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def probes(healthy: Check, ready: Check, registry: CollectorRegistry) -> web.Application:
    """The web application."""
    app = web.Application()
    app.router.add_get("/healthz", _answering(healthy))
    app.router.add_get("/readyz", _answering(ready))
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    return app


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        good, words = check()
        return web.Response(text=f"{words}\n", status=200 if good else 503)

    return answer
