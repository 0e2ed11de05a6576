"""Many ranks as threads of one process: real concurrency and a fixed order of sums, without sockets."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from gmeta_worker.parallel import Arrived, Group, Handle, Transfer

Result = TypeVar("Result")
PATIENCE_SECONDS = 120


class _Round:
    """Where the threads of a group meet."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=PATIENCE_SECONDS)
        self.slots: list[Any] = [None] * size

    def swap(self, rank: int, value: object) -> list[Any]:
        """What each rank has passed to the same call."""
        self.slots[rank] = value
        self.barrier.wait()
        values = list(self.slots)
        self.barrier.wait()
        return values


@dataclass(frozen=True)
class ThreadedGroup:
    """One rank among threads."""

    rank: int
    size: int
    meeting: _Round

    def all_reduce(self, flat: Tensor) -> Handle:
        """The sum appears when the handle waits, so that code which reads it too early fails."""
        before = [each.clone() for each in self.meeting.swap(self.rank, flat)]
        self.meeting.barrier.wait()
        return _Sum(flat, before)

    def all_to_all(self, send: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Transfer:
        parts = self.meeting.swap(self.rank, send.split(list(send_counts)))
        received = [each[self.rank] for each in parts]
        assert [len(part) for part in received] == list(recv_counts)
        return Arrived(torch.cat(received))


@dataclass(frozen=True)
class _Sum:
    flat: Tensor
    parts: list[Tensor]

    def wait(self) -> None:
        self.flat.copy_(torch.stack(self.parts).sum(0))


def run_ranks(size: int, work: Callable[[Group], Result]) -> list[Result]:
    """Run `work` on `size` ranks at once; what each returned. The first failure ends the others and is raised."""
    meeting = _Round(size)
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadedGroup(rank, size, meeting))
        except threading.BrokenBarrierError:
            pass  # another rank has failed, and its error is the one to tell
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            errors.append(error)
            meeting.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert len(results) == size, "a rank waited in vain"
    return [results[rank] for rank in range(size)]
