"""The exchange of embedding rows between the ranks that need them and the ranks that own them.

A rank owns a contiguous range of row ids, and a step's ids are sorted, so what goes to each owner is a slice: no
bucketing, no permutation and none to undo. Rows come back in the order of the ids, and gradients return the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gmeta_worker.parallel.group import Group, Transfer, begin_counts


@dataclass(frozen=True)
class Route:
    """The way of one step's ids to their owners and back.

    Attributes:
        group: the ranks.
        wanted: int64[R], the ids that all ranks want of this one: sorted and unique within each rank's part.
        asked: how many ids this rank wants of each rank.
        served: how many ids each rank wants of this one.
        wire: what rows and gradients travel as; None for their own type.
    """

    group: Group
    wanted: Tensor
    asked: Sequence[int]
    served: Sequence[int]
    wire: torch.dtype | None

    def fetch(self, lookup: Callable[[Tensor], Tensor]) -> Tensor:
        """The rows of the route's ids, [U, dim], in their order.

        Args:
            lookup: the rows of ids that this rank owns, int64[R] -> [R, dim].
        """
        return self._moved(lookup(self.wanted), self.served, self.asked)

    def push(self, grads: Tensor) -> tuple[Tensor, Tensor]:
        """Bring gradients [U, dim] of the route's ids to the owners: the ids [V] that this rank owns, each once and
        sorted, and the sums over all ranks of their gradients [V, dim]."""
        return add_up(self.wanted, self._moved(grads, self.asked, self.served), self.served)

    def _moved(self, rows: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Tensor:
        """Every number is rounded once, those that stay on this rank too: what a step reads does not depend on who owns
        it."""
        received = self.group.all_to_all(rows.to(self.wire or rows.dtype), send_counts, recv_counts).wait()
        return received.to(rows.dtype)


class PendingRoute:
    """A route that is being made in two messages, the second of which needs the reply to the first: numbers, then ids.

    Every rank calls the methods at the same point between its other collectives.

    Args:
        group: the ranks.
        ids: int64[U], what this rank wants, in the order of the owners.
        asked: how many of them each rank owns.
        wire: what rows and gradients will travel as; None for their own type.
    """

    def __init__(self, group: Group, ids: Tensor, asked: Sequence[int], wire: torch.dtype | None) -> None:
        self._group = group
        self._wire = wire
        self._ids = ids
        self._asked = asked
        self._counts = begin_counts(group, asked)
        self._sent: tuple[Transfer, Sequence[int]] | None = None

    def send_ids(self) -> None:
        """Let the ids leave, once the numbers are there; they travel while this rank computes."""
        self._send()

    def arrived(self) -> Route:
        """The route, once the ids of all ranks are there."""
        ids, served = self._send()
        return Route(self._group, ids.wait(), self._asked, served, self._wire)

    def _send(self) -> tuple[Transfer, Sequence[int]]:
        if self._sent is None:
            served = self._counts.wait().tolist()
            self._sent = self._group.all_to_all(self._ids, self._asked, served), served
        return self._sent


class RowExchange:
    """Routes ids to the ranks that own them.

    Args:
        group: the ranks.
        bounds: [size + 1], ascending: rank r owns the ids in [bounds[r], bounds[r + 1]).
        wire: what rows and gradients travel as; None for their own type.
    """

    def __init__(self, group: Group, bounds: Sequence[int], wire: torch.dtype | None = None) -> None:
        self._group = group
        self._wire = wire
        self._inner = torch.tensor(bounds[1:-1], dtype=torch.int64)

    def begin(self, ids: Tensor) -> PendingRoute:
        """Begin to tell the owners which ids this rank wants: int64[U], sorted and unique."""
        cuts = torch.searchsorted(ids, self._inner.to(ids.device)).tolist()
        asked = [after - before for before, after in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
        return PendingRoute(self._group, ids, asked, self._wire)

    def route(self, ids: Tensor) -> Route:
        """Tell the owners which ids this rank wants: int64[U], sorted and unique."""
        return self.begin(ids).arrived()


def add_up(ids: Tensor, grads: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Add up the gradients of equal ids, in rank order, so that the sums are the same bits in every run.

    Args:
        ids: int64[R], sorted and unique within the part of each rank.
        grads: [R, dim].
        counts: rows of each rank's part.

    Returns:
        The unique ids [V], sorted, and the sums [V, dim].
    """
    if sum(count > 0 for count in counts) <= 1:
        return ids, grads
    order = _stable_order(ids)
    ordered = ids[order]
    first = torch.cat([torch.ones_like(ordered[:1], dtype=torch.bool), ordered[1:] != ordered[:-1]]).nonzero()[:, 0]
    return ordered[first], embedding_bag(order, grads, first, mode="sum")


def _stable_order(ids: Tensor) -> Tensor:
    """Places of the ids in ascending order. On the CPU NumPy's stable sort merges the ranks' sorted parts."""
    if ids.is_cuda:
        return ids.sort(stable=True).indices
    return torch.from_numpy(np.argsort(ids.numpy(), kind="stable"))
