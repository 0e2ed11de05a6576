"""The collectives that a step needs, behind one interface for one rank, for many, and for threads in tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class PeerLostError(RuntimeError):
    """A collective failed because another rank is gone; this rank's step did not happen."""


class Handle(Protocol):
    """A collective that is under way."""

    def wait(self) -> None:
        """Return when its result is there."""
        ...


class Transfer(Protocol):
    """Rows that are under way between the ranks."""

    def wait(self) -> Tensor:
        """The rows received, in rank order, once they are there."""
        ...


class Group(Protocol):
    """The ranks of a round. Every rank begins the same collectives in the same order, with empty tensors if need be.

    A collective goes on while its caller computes, and several may be under way. To begin one or to wait for it raises
    PeerLostError when another rank is gone.
    """

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""
        ...

    @property
    def size(self) -> int:
        """Number of ranks."""
        ...

    def all_reduce(self, flat: Tensor) -> Handle:
        """Begin to sum `flat` over the ranks, in place: the same bits on every rank once the handle has waited."""
        ...

    def all_to_all(self, send: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Transfer:
        """Begin to send the next `send_counts[r]` rows of `send`, which must not change meanwhile, to each rank r.

        Args:
            send: [sum(send_counts), ...].
            send_counts: rows for each rank.
            recv_counts: rows from each rank, as `exchange_counts(group, send_counts)` gives them.
        """
        ...


class SingleGroup:
    """One rank alone: every collective gives back what it was given."""

    rank = 0
    size = 1

    def all_reduce(self, flat: Tensor) -> Handle:  # noqa: ARG002  # the sum over one rank
        """Nothing to add."""
        return _Done()

    def all_to_all(self, send: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Transfer:  # noqa: ARG002
        """The same rows."""
        return Arrived(send)


@dataclass(frozen=True)
class Arrived:
    """Rows that are there already."""

    rows: Tensor

    def wait(self) -> Tensor:
        """The rows."""
        return self.rows


class _Done:
    def wait(self) -> None:
        pass


ALONE = SingleGroup()


def begin_counts(group: Group, counts: Sequence[int]) -> Transfer:
    """Begin to tell each rank r the number `counts[r]`; what arrives is int64[ranks], the numbers told to this one."""
    ones = [1] * group.size
    return group.all_to_all(torch.tensor(counts, dtype=torch.int64), ones, ones)


def exchange_counts(group: Group, counts: Sequence[int]) -> list[int]:
    """Tell each rank r the number `counts[r]`; what each rank has told this one."""
    told: list[int] = begin_counts(group, counts).wait().tolist()
    return told


def all_gather(group: Group, rows: Tensor) -> Tensor:
    """The rows of all ranks in rank order, on every rank."""
    counts = [len(rows)] * group.size
    repeated = rows.repeat(group.size, *[1] * (rows.dim() - 1))
    return group.all_to_all(repeated, counts, exchange_counts(group, counts)).wait()


def broadcast(group: Group, values: Tensor) -> Tensor:
    """What rank 0 passes, on every rank; the others pass any tensor of that shape and type."""
    flat = values.clone() if group.rank == 0 else torch.zeros_like(values)
    group.all_reduce(flat).wait()
    return flat
