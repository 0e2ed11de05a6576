"""`python -m gmeta_operator`: the operator, with everything it needs to know in its environment."""

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

import aiohttp
import kopf

from gmeta_operator.client import Api
from gmeta_operator.controller import Controller
from gmeta_operator.coordinator import ask_coordinator
from gmeta_operator.leader_api import Fenced, LeaderApi
from gmeta_operator.leadership import Leadership
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.poller import Poller
from gmeta_operator.probes import serve_probes
from gmeta_operator.settings import Settings
from gmeta_operator.store import Store
from gmeta_operator.watchdog import Watchdog
from gmeta_operator.watches import login, run_watches, watch
from gmeta_operator.work_queue import WorkQueue

STALLED_SECONDS = 300.0
"""A pass ends sooner, even where every request of it waits for the last moment."""


class Operator:
    """One operator: stands by until it leads, then works until it is told to end or is replaced."""

    def __init__(self, settings: Settings, api: Api, metrics: OperatorMetrics) -> None:
        self.settings, self.api, self.metrics = settings, api, metrics
        me = f"{settings.pod}/{secrets.token_hex(4)}"
        self.leadership = Leadership(api, settings.own_namespace, settings.lease, me)
        self.store, self.queue = Store(), WorkQueue()
        self.watching, self._stopped = asyncio.Event(), asyncio.Event()
        self.watchdog = Watchdog(api, settings.namespaces)
        metrics.show_leadership(lambda: self.leadership.leading)
        metrics.show_jobs(self.store.jobs)
        metrics.show_queue(waiting=lambda: len(self.queue), retrying=lambda: self.queue.retrying)

    async def run(self) -> None:
        """Run until a signal comes or any part ends, since none can do without the others."""
        probes = serve_probes(self.settings.probe_port, self.healthy, self.ready, self.metrics.registry)
        self._catch_signals()
        await until_one_ends(probes, self._stopped.wait(), self._lead())

    async def _lead(self) -> None:
        await self.leadership.stand_by()
        await until_one_ends(self._watch(), self._take_signals_back(), self._work())

    async def _work(self) -> None:
        """Work as long as it leads. The Lease is given back before kopf has ended, which may take seconds."""
        try:
            async with aiohttp.ClientSession() as session:
                poller = Poller(partial(ask_coordinator, session), self.queue.add, self.metrics)
                working = self._controller(poller).run(), poller.run(), self.watchdog.run()
                await until_one_ends(*working, self.leadership.keep())
        finally:
            await self.leadership.release()

    async def _take_signals_back(self) -> None:
        """Kopf takes the signals at its start, and ends before it tells of one."""
        await self.watching.wait()
        self._catch_signals()
        await self._stopped.wait()

    def _catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stopped.set)

    async def _watch(self) -> None:
        handlers = watch(self.store, self.queue, self.metrics, self.watchdog)
        await run_watches(handlers, self.settings, self.watching)

    def _controller(self, poller: Poller) -> Controller:
        api = LeaderApi(self.api, self.leadership)
        return Controller(api, self.store, self.queue, self.settings, poller, self.metrics)

    def healthy(self) -> tuple[bool, str]:
        """Whether the process works; a new one would help where it does not."""
        if (trouble := self.watchdog.trouble) is not None:
            return False, trouble
        if (stalled := self.queue.stalled) > STALLED_SECONDS:
            return False, f"{len(self.queue)} jobs wait, and no pass has ended for {stalled:.0f} s"
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Whether it does what it has to: a standby is ready, else no rollout of two replicas would ever end."""
        if self.leadership.leading and not self.watching.is_set():
            return False, "the watches have not begun"
        return self.leadership.standing()


async def until_one_ends(*parts: Coroutine[Any, Any, object]) -> None:
    """Run parts until one of them ends, and cancel the others.

    An operator that was replaced ends its process here and now: kopf and requests in flight may take seconds to be
    cancelled, in which two operators would work.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            if fence := fence_of(task):
                print(f"gmeta-operator: it leads no more and ends: {fence}", file=sys.stderr, flush=True)
                os._exit(1)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


def fence_of(task: "asyncio.Task[object]") -> Fenced | None:
    """Why a part has ended, if that is because the operator was replaced."""
    error = task.exception() if task.done() and not task.cancelled() else None
    while isinstance(error, BaseExceptionGroup):
        error = (error.subgroup(Fenced) or error).exceptions[0]
    return error if isinstance(error, Fenced) else None


async def run(settings: Settings) -> None:
    """Run an operator."""
    metrics = OperatorMetrics()
    metrics.show_process()
    async with Api(login, metrics.requested) as api:
        await Operator(settings, api, metrics).run()


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
