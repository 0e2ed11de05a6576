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


def test_probes_answer_in_words_and_metrics_are_served_before_the_operator_is_ready() -> None:
    async def tell() -> None:
        metrics = OperatorMetrics()
        healthy, ready = (True, "ok"), (False, "the watches have not begun")
        metrics.show_process()
        metrics.requested("create", "pods", 201)
        port = free_ports(1)
        server = asyncio.create_task(serve_probes(port, lambda: healthy, lambda: ready, metrics.registry))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            assert (await answered(session, "/healthz"))[::2] == (200, "ok\n")
            assert (await answered(session, "/readyz"))[::2] == (503, "the watches have not begun\n")
            status, kind, text = await answered(session, "/metrics")
            assert (status, kind.split(";")[0]) == (200, "text/plain")
            families = {family.name: family for family in text_string_to_metric_families(text)}
            assert {"process_resident_memory_bytes", "python_info"} <= set(families)
            (sample,) = families["gmeta_operator_api_requests"].samples
            assert (sample.labels, sample.value) == ({"verb": "create", "resource": "pods", "code": "201"}, 1.0)
            healthy, ready = (False, "the watch of pods is dead"), (True, "standing by: a/1 holds the lease")
            assert (await answered(session, "/healthz"))[::2] == (503, "the watch of pods is dead\n")
            assert (await answered(session, "/readyz"))[::2] == (200, "standing by: a/1 holds the lease\n")
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)

    asyncio.run(asyncio.wait_for(tell(), 20))
