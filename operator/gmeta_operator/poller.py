"""Asking the coordinators how far their jobs are, beside the passes: a pass reads the newest answer and never waits."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.report import Report
from gmeta_operator.store import Key

CONCURRENCY = 32
SHORTEST_SECONDS = 5.0
FEW_JOBS = 200
"""So many are asked at the shortest interval."""
MANY_JOBS = 1000
MANY_JOBS_SECONDS = 15.0
JITTER = 0.1

Ask = Callable[[str], Awaitable[Report | None]]


def poll_interval(jobs: int) -> float:
    """Seconds between two questions to a coordinator; beyond a thousand jobs no more are asked in a second."""
    if jobs > MANY_JOBS:
        return MANY_JOBS_SECONDS * jobs / MANY_JOBS
    share = max(0, jobs - FEW_JOBS) / (MANY_JOBS - FEW_JOBS)
    return SHORTEST_SECONDS + share * (MANY_JOBS_SECONDS - SHORTEST_SECONDS)


@dataclass
class _Polled:
    """A job whose coordinator is or was asked.

    Attributes:
        uid: of the job.
        address: of its coordinator; None while there is none to ask.
        report: what its coordinator said last.
        timer: until it is asked again; None while it waits for its turn or is asked.
    """

    uid: str
    address: str | None = None
    report: Report | None = None
    timer: asyncio.TimerHandle | None = None


class Poller:
    """Asks the coordinators in turn.

    Args:
        ask: asks the coordinator at an address for its status document.
        changed: is told of each job whose coordinator says something new.
        metrics: what is counted.
    """

    def __init__(self, ask: Ask, changed: Callable[[Key], None], metrics: OperatorMetrics) -> None:
        self._ask = ask
        self._changed = changed
        self._metrics = metrics
        self._polled: dict[Key, _Polled] = {}
        self._due: asyncio.Queue[Key] = asyncio.Queue()
        self._asked = 0

    def aim(self, key: Key, uid: str, address: str | None) -> None:
        """Ask the coordinator of a job at an address from now on, the first time at once; None: do not ask."""
        polled = self._polled.get(key)
        if polled is None or polled.uid != uid:
            self.forget(key)
            polled = self._polled[key] = _Polled(uid)
        if address != polled.address:
            self._asked += (address is not None) - (polled.address is not None)
            polled.address = address
            self._stop_timer(polled)
            if address is not None:
                self._due.put_nowait(key)

    def address(self, key: Key) -> str | None:
        """Where the coordinator of a job is asked; None where it is not."""
        polled = self._polled.get(key)
        return polled.address if polled is not None else None

    def report(self, key: Key, uid: str) -> Report | None:
        """What the coordinator of the job with that uid said last."""
        polled = self._polled.get(key)
        return polled.report if polled is not None and polled.uid == uid else None

    def forget(self, key: Key) -> None:
        """The job is gone."""
        polled = self._polled.pop(key, None)
        if polled is not None:
            self._asked -= polled.address is not None
            self._stop_timer(polled)

    async def run(self) -> None:
        """Ask for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._work())

    async def poll(self, key: Key) -> None:
        """Ask the coordinator of a job once."""
        polled = self._polled.get(key)
        if polled is None or polled.address is None:
            return
        answer = await self._ask(polled.address)
        self._metrics.polled(answered=answer is not None)
        if answer is not None and answer != polled.report:
            polled.report = answer
            self._changed(key)

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            await self.poll(key)
            self._start_timer(key)

    def _start_timer(self, key: Key) -> None:
        """One timer for each job that is asked, however often its address has changed meanwhile."""
        polled = self._polled.get(key)
        if polled is not None and polled.address is not None and polled.timer is None:
            pause = poll_interval(self._asked) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # not a secret
            polled.timer = asyncio.get_running_loop().call_later(pause, self._ring, key, polled)

    def _ring(self, key: Key, polled: _Polled) -> None:
        polled.timer = None
        self._due.put_nowait(key)

    @staticmethod
    def _stop_timer(polled: _Polled) -> None:
        if polled.timer is not None:
            polled.timer.cancel()
            polled.timer = None
