"""The parts of the process end together."""

import asyncio
import os
from typing import NoReturn

import pytest

from gmeta_operator.__main__ import fence_of, until_one_ends
from gmeta_operator.leader_api import Fenced


async def fail(error: Exception) -> NoReturn:
    raise error


def test_the_first_part_that_ends_ends_the_others_and_its_error_is_told() -> None:
    ended = []

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("last")

    async def soon() -> None:
        await asyncio.sleep(0.01)

    asyncio.run(until_one_ends(last(), soon()))
    assert ended == ["last"]
    with pytest.raises(OSError, match="no port"):
        asyncio.run(until_one_ends(last(), fail(OSError("no port"))))


def test_a_replaced_operator_ends_its_process_without_waiting_for_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(code: int) -> NoReturn:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", end)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(Fenced("b/1 holds the Lease")))

    with pytest.raises(SystemExit) as caught:
        asyncio.run(until_one_ends(work()))
    assert caught.value.code == 1
    assert capsys.readouterr().err == "gmeta-operator: it leads no more and ends: b/1 holds the Lease\n"


def test_other_errors_are_no_fence() -> None:
    async def find() -> None:
        for error in (ValueError("no"), ExceptionGroup("two", [ValueError("no"), KeyError("no")])):
            task = asyncio.ensure_future(fail(error))
            await asyncio.wait([task])
            assert fence_of(task) is None

    asyncio.run(find())
