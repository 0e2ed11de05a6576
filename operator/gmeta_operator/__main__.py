"""`python -m gmeta_operator`: the operator, with everything it needs to know in its environment."""

import asyncio
import logging
import os
import sys
from functools import partial

import aiohttp
import kopf

from gmeta_operator.client import Api
from gmeta_operator.controller import Controller
from gmeta_operator.coordinator import ask_coordinator
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.probes import serve_probes
from gmeta_operator.settings import Settings
from gmeta_operator.store import Store
from gmeta_operator.watches import login, run_watches, watch
from gmeta_operator.work_queue import WorkQueue


async def run(settings: Settings) -> None:
    """Run until a signal ends the watches, or until any part ends, since none can do without the others."""
    store, queue, ready = Store(), WorkQueue(), asyncio.Event()
    metrics = _metrics(store, queue)
    async with Api(login, metrics.requested) as api, aiohttp.ClientSession() as session:
        controller = Controller(api, store, queue, settings, partial(ask_coordinator, session), metrics)
        parts = [
            asyncio.create_task(run_watches(watch(store, queue, metrics), settings, ready)),
            asyncio.create_task(controller.run()),
            asyncio.create_task(serve_probes(settings.probe_port, ready, metrics.registry)),
        ]
        ended, rest = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in rest:
            part.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for part in ended:
            part.result()


def _metrics(store: Store, queue: WorkQueue) -> OperatorMetrics:
    metrics = OperatorMetrics()
    metrics.show_process()
    metrics.show_jobs(store.jobs)
    metrics.show_queue(waiting=lambda: len(queue), retrying=lambda: queue.retrying)
    return metrics


def main() -> int:
    """The process; its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        asyncio.run(run(Settings.from_environment(os.environ)))
    except (ValueError, kopf.LoginError, OSError) as error:
        print(f"gmeta-operator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
