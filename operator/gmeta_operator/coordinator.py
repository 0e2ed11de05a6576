"""Asking a job's coordinator how far it is."""

import aiohttp

from gmeta_api.objects import COORDINATOR_PORT
from gmeta_operator.report import Report, read_report

TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def ask_coordinator(session: aiohttp.ClientSession, address: str) -> Report | None:
    """The status document of the coordinator at an IP; None while it does not answer."""
    host = f"[{address}]" if ":" in address else address
    try:
        async with session.get(f"http://{host}:{COORDINATOR_PORT}/v1/status", timeout=TIMEOUT) as response:
            return read_report(await response.read()) if response.ok else None
    except (aiohttp.ClientError, TimeoutError):
        return None
