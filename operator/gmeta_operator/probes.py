"""Served outside of kopf: /healthz while the process works, /readyz once the watches have begun, and /metrics."""

import asyncio

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler


async def serve_probes(port: int, ready: asyncio.Event, registry: CollectorRegistry) -> None:
    """Serve until cancelled."""
    runner = web.AppRunner(probes(ready, registry), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def probes(ready: asyncio.Event, registry: CollectorRegistry) -> web.Application:
    """The web application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if ready.is_set():
            return web.Response(text="ok\n")
        return web.Response(text="the watches have not begun\n", status=503)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    return app
