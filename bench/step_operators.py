"""Contestants of `row_operators` that need no ranks: the distinct ids of a step, and a step of the owner's rows."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.embedding import distinct

ROWS, IDS = 2_600_000, 26_624
"""26 tables of 100,000 rows, and the ids of 1,024 samples."""

Contestants = Mapping[str, Callable[[], object]]


def making_distinct() -> Contestants:
    """From the ids of all samples to sorted distinct ones, and the place of each id among them."""
    ids = np.random.default_rng(0).integers(0, ROWS, IDS)
    tensor, place = torch.from_numpy(ids), np.empty(ROWS, dtype=np.int64)

    def by_table() -> NDArray[np.int64]:
        """A place for every row there is; what comes out is sorted afterwards, for the owners' contiguous slices."""
        place[ids] = np.arange(IDS)
        found = np.sort(ids[place[ids] == np.arange(IDS)])
        place[found] = np.arange(len(found))
        inverse: NDArray[np.int64] = place[ids]
        return inverse

    contestants = {
        "sort of words (ours)": lambda: distinct(ids, ROWS).inverse,
        "numpy.unique": lambda: np.unique(ids, return_index=True, return_inverse=True)[2],
        "torch.unique": lambda: torch.unique(tensor, return_inverse=True)[1].numpy(),
        "table of all rows": by_table,
    }
    assert all(np.array_equal(run(), contestants["numpy.unique"]()) for run in contestants.values())
    return contestants


def updating(dim: int) -> Contestants:
    """Add a change to IDS rows of a table; each call touches other rows, as each step does."""
    in_small_pages = torch.ones(ROWS, dim)
    table = torch.from_numpy(np.ones((ROWS, dim), dtype=np.float32))
    change = torch.randn(IDS, dim, generator=torch.Generator().manual_seed(0))
    draws = [torch.randperm(ROWS, generator=torch.Generator().manual_seed(n))[:IDS].sort().values for n in range(16)]
    turn = 0

    def places() -> torch.Tensor:
        nonlocal turn
        turn += 1
        return draws[turn % len(draws)]

    def read_and_write() -> None:
        chosen = places()
        table.index_copy_(0, chosen, table.index_select(0, chosen) + change)

    return {
        "index_add_, huge pages (ours)": lambda: table.index_add_(0, places(), change),
        "index_add_, small pages": lambda: in_small_pages.index_add_(0, places(), change),
        "index_select, add, index_copy_": read_and_write,
        "index_add_ with alpha": lambda: table.index_add_(0, places(), change, alpha=-0.01),
    }
