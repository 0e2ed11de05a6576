"""Coordinators are asked beside the passes, at a pace that depends on how many there are."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gmeta_operator import poller
from gmeta_operator.metrics import OperatorMetrics
from gmeta_operator.poller import CONCURRENCY, Poller, poll_interval
from gmeta_operator.report import Report

KEY = ("team", "movies")


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*given, **named), 20))

    return run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "SHORTEST_SECONDS", 0.01)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


class Coordinators:
    """Answer with what is set for their address; those without an answer never do."""

    def __init__(self) -> None:
        self.answers: dict[str, Report | None] = {}
        self.asked: Counter[str] = Counter()
        self.changed: list[tuple[str, str]] = []
        self.poller = Poller(self._ask, self.changed.append, OperatorMetrics())

    async def _ask(self, address: str) -> Report | None:
        self.asked[address] += 1
        if address not in self.answers:
            await asyncio.Event().wait()
        return self.answers[address]

    @contextmanager
    def asking(self) -> Iterator[None]:
        task = asyncio.create_task(self.poller.run())
        yield
        task.cancel()


@pytest.mark.parametrize(("jobs", "seconds"), [(0, 5.0), (1, 5.0), (200, 5.0), (600, 10.0), (1000, 15.0), (2000, 30.0)])
def test_the_interval_grows_with_the_jobs(jobs: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert poll_interval(jobs) == pytest.approx(seconds)


@in_a_loop
async def test_only_news_is_told() -> None:
    them = Coordinators()
    them.answers["a"] = Report(attempt=0)
    with them.asking():
        them.poller.aim(KEY, "u1", "a")
        await until(lambda: them.asked["a"] > 2)
        assert them.changed == [KEY]
        assert them.poller.report(KEY, "u1") == Report(attempt=0)
        them.answers["a"] = None
        before = them.asked["a"]
        await until(lambda: them.asked["a"] > before + 1)
        assert them.poller.report(KEY, "u1") == Report(attempt=0), "what is not answered changes nothing"
        them.answers["a"] = Report(attempt=1)
        await until(lambda: them.changed == [KEY, KEY])


@in_a_loop
async def test_dead_coordinators_hold_nobody_up() -> None:
    them = Coordinators()
    them.answers["a"] = Report(attempt=0)
    with them.asking():
        for number in range(CONCURRENCY - 1):
            them.poller.aim(("team", f"dead-{number}"), "u", f"dead-{number}")
        them.poller.aim(KEY, "u1", "a")
        await until(lambda: them.asked["a"] > 2)
        assert all(count == 1 for address, count in them.asked.items() if address != "a")


@in_a_loop
async def test_a_new_address_is_asked_at_once_and_a_job_has_one_timer() -> None:
    them = Coordinators()
    them.answers.update(a=Report(attempt=0), b=Report(attempt=0))
    with them.asking():
        for address in ("a", "b", "a", "b"):
            them.poller.aim(KEY, "u1", address)
        await asyncio.sleep(0.105)
        assert 3 <= sum(them.asked.values()) <= 4 + 11, them.asked
        assert them.asked["a"] == 0
        them.poller.aim(KEY, "u1", None)
        await asyncio.sleep(0.02)
        before = them.asked["b"]
        await asyncio.sleep(0.05)
        assert (them.asked["b"], them.poller.address(KEY)) == (before, None)


@in_a_loop
async def test_another_job_of_the_name_begins_anew_and_one_that_is_gone_is_forgotten() -> None:
    them = Coordinators()
    them.answers["a"] = Report(attempt=3)
    with them.asking():
        them.poller.aim(KEY, "u1", "a")
        await asyncio.sleep(0.03)
        them.poller.aim(KEY, "u2", None)
        assert (them.poller.report(KEY, "u1"), them.poller.report(KEY, "u2")) == (None, None)
        them.poller.aim(KEY, "u2", "a")
        them.poller.forget(KEY)
        before = them.asked["a"]
        await asyncio.sleep(0.05)
        assert them.asked["a"] <= before + 1
