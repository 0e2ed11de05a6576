"""From any state, after a crash at any write, with events lost, repeated or late: the same pods, none twice.

Two servers live through the same history. One has an operator that crashes, misses events and hears old ones again; the
other has one that works undisturbed. When the history ends, both must have the same pods running.
"""

import asyncio
import copy
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import KEY, Crash, Process, Server, manifest

from gmeta_operator.history import condition_status

WORKERS = 3
SLOTS = ("coordinator", "w0", "w1", "w2")

FAULTS = st.tuples(st.sampled_from(SLOTS), st.sampled_from([1, 137, 67, 143, 69]))
DISTURBANCES = st.sampled_from(["none", "none", "crash", "deaf", "echo"])
HISTORIES = st.lists(st.tuples(st.none() | FAULTS, DISTURBANCES, st.integers(0, 24)), min_size=3, max_size=12)


class Disturbed:
    """An operator with bad luck: it is started again after each crash."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.process = Process(server)
        self.old: list[dict[str, Any]] = []

    def disturb(self, how: str, moment: int) -> None:
        """Arrange a crash, a missed event or the repetition of old ones."""
        self.server.crash_at = moment if how == "crash" else None
        if how == "echo":
            for pod in self.old:
                self.process.store.put_pod(copy.deepcopy(pod))
        self.old = [copy.deepcopy(pod) for pod in self.server.live.values()]

    async def sync(self, *, deaf: bool) -> None:
        """One pass; without hearing anything first if it is deaf."""
        writes = self.server.status_writes
        self.process.now += timedelta(seconds=400)
        try:
            if not deaf:
                self.process.hear()
            await self.process.controller.sync(KEY)
        except Crash:
            self.process = Process(self.server, self.process.now)
        assert self.server.status_writes <= writes + 1
        assert_no_pod_twice(self.server)

    async def settle(self) -> None:
        """Everything is heard and nothing goes wrong until nothing is left to do."""
        self.server.crash_at = None
        for _ in range(8):
            await self.process.sync(400)


def assert_no_pod_twice(server: Server) -> None:
    """No name is made twice, and no two pods of a role and index run, whatever has happened."""
    assert len(server.made) == len(set(server.made)), server.made
    slots = [name.rsplit("-", 1)[0] for _, name in server.running()]
    assert len(slots) == len(set(slots)), slots


def newest(server: Server, slot: str) -> str | None:
    """The running pod of a slot."""
    return next((name for _, name in server.running() if name.startswith(f"movies-{slot}-")), None)


def strike(server: Server, operator: Disturbed, fault: tuple[str, int] | None) -> None:
    """The kubelet: what was made runs; then a process ends."""
    for _, running in server.running():
        server.start(running)
    if fault is not None and (name := newest(server, fault[0])) is not None:
        server.end(name, fault[1], operator.process.now)


def running_slots(server: Server) -> list[str]:
    return sorted(name.rsplit("-", 1)[0] for _, name in server.running())


async def live(history: list[tuple[tuple[str, int] | None, str, int]], *, disturbed: bool) -> Server:
    server = Server(manifest(workers={"replicas": WORKERS}, faultTolerance={"backoffLimit": 4}))
    operator = Disturbed(server)
    for fault, how, moment in history:
        operator.disturb(how if disturbed else "none", moment)
        for _ in range(3):
            await operator.sync(deaf=disturbed and how == "deaf")
        await operator.settle()
        strike(server, operator, fault)
    await operator.settle()
    return server


@given(HISTORIES)
@settings(max_examples=40, deadline=None)
def test_a_disturbed_operator_ends_where_an_undisturbed_one_does(
    history: list[tuple[tuple[str, int] | None, str, int]],
) -> None:
    with_luck = asyncio.run(live(history, disturbed=False))
    without = asyncio.run(live(history, disturbed=True))
    assert running_slots(without) == running_slots(with_luck)
    for part in ("state", "reason", "attempt", "restarts"):
        assert without.job["status"].get(part) == with_luck.job["status"].get(part), part


@given(st.lists(st.tuples(st.none() | FAULTS, DISTURBANCES, st.integers(0, 24)), min_size=10, max_size=40))
@settings(max_examples=80, deadline=None)
def test_without_rest_between_faults_it_still_settles(
    history: list[tuple[tuple[str, int] | None, str, int]],
) -> None:
    async def restless() -> Server:
        server = Server(manifest(workers={"replicas": WORKERS}))
        operator = Disturbed(server)
        for fault, how, moment in history:
            operator.disturb(how, moment)
            await operator.sync(deaf=how == "deaf")
            strike(server, operator, fault)
        await operator.settle()
        return server

    server = asyncio.run(restless())
    ended = condition_status(server.job["status"], "Succeeded") != "Unknown"
    assert running_slots(server) == ([] if ended else sorted(f"movies-{slot}" for slot in SLOTS))


def test_a_crash_at_every_write_of_the_first_pass_leaves_the_same_pods() -> None:
    for moment in range(40):
        server = Server(manifest(workers={"replicas": WORKERS}))
        server.crash_at = moment
        operator = Disturbed(server)
        asyncio.run(operator.sync(deaf=False))
        asyncio.run(operator.settle())
        assert server.made == [f"movies-{slot}-0" for slot in SLOTS]
