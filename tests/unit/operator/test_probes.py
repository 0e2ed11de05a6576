"""Probes and metrics over a real HTTP server."""

import asyncio

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.probes import serve_probes
from gmeta_worker.local.site import free_ports


async def answered(session: aiohttp.ClientSession, path: str) -> tuple[int, str, str]:
    """Status, content type and text, once the server is there."""
    while True:
        try:
            async with session.get(path) as response:
                return response.status, response.headers["Content-Type"], await response.text()
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)


def test_the_operator_is_ready_once_its_watches_have_begun_and_serves_metrics_before() -> None:
    async def tell() -> None:
        metrics, ready = OperatorMetrics(), asyncio.Event()
        metrics.show_process()
        metrics.requested("create", "pods", 201)
        port = free_ports(1)
        server = asyncio.create_task(serve_probes(port, ready, metrics.registry))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            assert (await answered(session, "/healthz"))[0] == 200
            assert (await answered(session, "/readyz"))[0] == 503
            status, kind, text = await answered(session, "/metrics")
            assert (status, kind.split(";")[0]) == (200, "text/plain")
            families = {family.name: family for family in text_string_to_metric_families(text)}
            assert {"process_resident_memory_bytes", "python_info"} <= set(families)
            (sample,) = families["gmeta_operator_api_requests"].samples
            assert (sample.labels, sample.value) == ({"verb": "create", "resource": "pods", "code": "201"}, 1.0)
            ready.set()
            assert (await answered(session, "/readyz"))[0] == 200
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)

    asyncio.run(asyncio.wait_for(tell(), 20))
