"""The group of a real round: torch.distributed with gloo or NCCL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from gmeta_worker.parallel.group import Handle, PeerLostError, Transfer


class DistributedGroup:
    """Collectives over a process group.

    NCCL moves GPU tensors as they are. Gloo moves host memory only: GPU tensors go through a copy there.

    Args:
        group: an initialised process group; NCCL ranks have chosen their GPU with `torch.cuda.set_device`.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self._wire = torch.device("cuda" if dist.get_backend(group) == "nccl" else "cpu")
        self.rank = dist.get_rank(group)
        self.size = dist.get_world_size(group)

    def all_reduce(self, flat: Tensor) -> Handle:
        """Sum over the ranks, in place."""
        wire = flat.to(self._wire)
        with _naming_the_cause("all_reduce"):
            work = dist.all_reduce(wire, group=self._group, async_op=True)
        assert work is not None, "an asynchronous collective of a group that this rank belongs to"
        return _Reduction(work, wire, flat)

    def all_to_all(self, send: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Transfer:
        """Rows to and from every rank."""
        wire = send.contiguous().to(self._wire)
        received = wire.new_empty((sum(recv_counts), *send.shape[1:]))
        with _naming_the_cause("all_to_all"):
            work = dist.all_to_all_single(
                received, wire, list(recv_counts), list(send_counts), group=self._group, async_op=True
            )
        assert work is not None, "an asynchronous collective of a group that this rank belongs to"
        return _Transfer(work, wire, received, send.device)


@dataclass(frozen=True)
class _Transfer:
    work: dist.Work
    sent: Tensor  # kept alive until it has left
    received: Tensor
    device: torch.device

    def wait(self) -> Tensor:
        with _naming_the_cause("all_to_all"):
            self.work.wait()
        return self.received.to(self.device)


class _Reduction:
    def __init__(self, work: dist.Work, wire: Tensor, flat: Tensor) -> None:
        self._work = work
        self._wire = wire
        self._flat = flat

    def wait(self) -> None:
        with _naming_the_cause("all_reduce"):
            self._work.wait()
        if self._wire is not self._flat:
            self._flat.copy_(self._wire)


@contextmanager
def _naming_the_cause(collective: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"{collective}: another rank is gone or out of reach: {error}") from error
