"""The exchange of rows: every rank gets the rows it asked for, every owner the sum of what all have sent."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threaded_group import run_ranks
from torch import Tensor

from gmeta_worker.parallel import Group, RowExchange, SingleGroup, exchange_counts
from gmeta_worker.parallel.exchange import add_up

ROWS, DIM = 40, 3
TABLE = torch.arange(ROWS * DIM, dtype=torch.float64).view(ROWS, DIM)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """The sorted unique ids that each of 1..5 ranks wants, and where the owners' ranges end; both may be empty."""
    size = draw(st.integers(1, 5))
    wanted = [sorted(draw(st.sets(st.integers(0, ROWS - 1)))) for _ in range(size)]
    cuts = sorted(draw(st.lists(st.integers(0, ROWS), min_size=size - 1, max_size=size - 1)))
    return wanted, [0, *cuts, ROWS]


def gradient(rank: int, ids: Sequence[int]) -> Tensor:
    """A gradient that tells who has sent it, for which row."""
    return torch.tensor([[10.0**rank, row, rank * row] for row in ids], dtype=torch.float64).view(len(ids), DIM)


@settings(deadline=None, max_examples=150)
@given(exchanges())
def test_rows_come_from_their_owners_and_gradients_add_up_there(case: tuple[list[list[int]], list[int]]) -> None:
    wanted, bounds = case
    looked_up: list[list[int]] = [[] for _ in wanted]

    def one_rank(group: Group) -> tuple[Tensor, Tensor, Tensor]:
        def lookup(ids: Tensor) -> Tensor:
            looked_up[group.rank] += ids.tolist()
            return TABLE[ids]

        route = RowExchange(group, bounds).route(torch.tensor(wanted[group.rank], dtype=torch.int64))
        rows = route.fetch(lookup)
        return rows, *route.push(gradient(group.rank, wanted[group.rank]))

    results = run_ranks(len(wanted), one_rank)
    for rank, ((lo, hi), (rows, ids, sums)) in enumerate(zip(pairwise(bounds), results, strict=True)):
        assert torch.equal(rows, TABLE[wanted[rank]])
        assert all(lo <= row < hi for row in looked_up[rank])
        owned = sorted({row for each in wanted for row in each if lo <= row < hi})
        assert ids.tolist() == owned
        expected = [
            sum((gradient(r, [row])[0] for r, each in enumerate(wanted) if row in each), torch.zeros(DIM).double())
            for row in owned
        ]
        assert torch.equal(sums, torch.stack(expected) if expected else torch.zeros(0, DIM).double())


@settings(deadline=None, max_examples=50)
@given(exchanges())
def test_in_bfloat16_every_number_is_rounded_once(case: tuple[list[list[int]], list[int]]) -> None:
    """Relative to 2^-8, the unit roundoff of 8 significant bits; sums over ranks are of the full type."""
    wanted, bounds = case
    table = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grads = [torch.randn(len(ids), DIM, generator=torch.Generator().manual_seed(1)).double() for ids in wanted]

    def one_rank(group: Group) -> tuple[Tensor, Tensor, Tensor]:
        exchange = RowExchange(group, bounds, torch.bfloat16)
        route = exchange.route(torch.tensor(wanted[group.rank], dtype=torch.int64))
        return route.fetch(lambda ids: table[ids]), *route.push(grads[group.rank])

    sums, sizes = torch.zeros(ROWS, DIM).double(), torch.zeros(ROWS, DIM).double()
    for ids, grad in zip(wanted, grads, strict=True):
        sums[ids] += grad
        sizes[ids] += grad.abs()
    for ids, (rows, owned, received) in zip(wanted, run_ranks(len(wanted), one_rank), strict=True):
        assert rows.dtype == received.dtype == torch.float64
        assert torch.equal(rows, table[ids].bfloat16().double())
        assert ((rows - table[ids]).abs() <= 2**-8 * table[ids].abs()).all()
        assert ((received - sums[owned]).abs() <= (2**-8 + 1e-12) * sizes[owned]).all()


def test_sums_are_the_same_bits_in_every_run_and_follow_the_order_of_the_ranks() -> None:
    big, small = 1e16, 1.0
    ids = torch.tensor([3, 7, 3, 3, 9])
    grads = torch.tensor([[big], [5.0], [small], [-big], [2.0]], dtype=torch.float64)
    unique, sums = add_up(ids, grads, [2, 1, 2])
    assert unique.tolist() == [3, 7, 9]
    assert sums[:, 0].tolist() == [(big + small) - big, 5.0, 2.0]


def test_one_rank_alone_moves_nothing() -> None:
    ids = torch.tensor([1, 4, 8])
    route = RowExchange(SingleGroup(), [0, ROWS]).route(ids)
    grads = gradient(0, ids.tolist())
    assert route.wanted is ids
    assert route.push(grads) == (ids, grads)


def test_a_failure_of_one_rank_ends_the_others() -> None:
    def one_rank(group: Group) -> None:
        if group.rank == 1:
            raise ValueError("rank 1 is broken")
        exchange_counts(group, [0, 0, 0])

    with pytest.raises(ValueError, match="rank 1 is broken"):
        run_ranks(3, one_rank)


def test_random_sizes_of_many_ranks() -> None:
    """64 owners, most of which get nothing."""
    draw = np.random.default_rng(0)
    wanted = [np.unique(draw.integers(0, ROWS, 5)).tolist() for _ in range(16)]
    bounds = [0] * 8 + list(range(0, ROWS, 5)) + [ROWS]

    def one_rank(group: Group) -> Tensor:
        route = RowExchange(group, bounds).route(torch.tensor(wanted[group.rank]))
        return route.fetch(lambda ids: TABLE[ids])

    for rows, each in zip(run_ranks(16, one_rank), wanted, strict=True):
        assert torch.equal(rows, TABLE[each])
