"""Asking a job's coordinator how far it is. It runs its author's code: what it answers is bounded and leads nowhere."""

import aiohttp

from gmeta_api.objects import COORDINATOR_PORT
from gmeta_operator.report import Report, read_report

TIMEOUT = aiohttp.ClientTimeout(total=2.0)
MOST_BYTES = 1_048_576
"""Longest answer; that of a job with 1,024 workers has about a tenth of it."""


async def ask_coordinator(session: aiohttp.ClientSession, address: str, port: int = COORDINATOR_PORT) -> Report | None:
    """The status document of the coordinator at an IP; None while it does not answer as a coordinator does."""
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{port}/v1/status"
    try:
        async with session.get(url, timeout=TIMEOUT, allow_redirects=False) as response:
            return read_report(await _body(response)) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    """The answer; None where it is too long."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)
