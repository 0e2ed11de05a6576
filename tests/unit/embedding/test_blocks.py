"""Virtual blocks: a bijection, equal blocks, contiguous ranges, and hot rows spread over owners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_worker.embedding import BLOCKS, BlockLayout

TABLES = st.lists(st.integers(0, 9000), min_size=1, max_size=4).map(
    lambda sizes: {f"t{i}": n for i, n in enumerate(sizes)}
)


def all_ids(layout: BlockLayout) -> np.ndarray:
    return np.concatenate([layout.ids(name, np.arange(rows)) for name, rows in layout.tables.items()])


@settings(deadline=None, max_examples=50)
@given(tables=TABLES)
def test_every_row_has_an_id_of_its_own_and_ids_lead_back(tables: dict[str, int]) -> None:
    layout = BlockLayout(tables)
    ids = all_ids(layout)
    assert len(np.unique(ids)) == layout.rows
    assert layout.rows <= BLOCKS * layout.pages < layout.rows + BLOCKS
    assert ((ids >= 0) & (ids < BLOCKS * layout.pages)).all()
    table, row = layout.located(ids)
    assert table.tolist() == [t for t, rows in enumerate(tables.values()) for _ in range(rows)]
    assert row.tolist() == [r for rows in tables.values() for r in range(rows)]


@settings(deadline=None, max_examples=50)
@given(tables=TABLES)
def test_an_id_without_a_row_says_so_and_blocks_differ_by_one_row(tables: dict[str, int]) -> None:
    layout = BlockLayout(tables)
    everything = np.arange(BLOCKS * layout.pages)
    table, row = layout.located(everything)
    assert (table >= 0).sum() == layout.rows
    assert ((table < 0) == (row < 0)).all()
    in_block = (table >= 0).reshape(BLOCKS, -1).sum(1)
    assert in_block.max() - in_block.min() <= 1


@pytest.mark.parametrize("owners", [8, 64])
@pytest.mark.parametrize("hot", [128, 1000, 20_000])
@pytest.mark.parametrize("first", [0, 4000, 123_456])
def test_a_run_of_hot_rows_spreads_over_the_owners(owners: int, hot: int, first: int) -> None:
    layout = BlockLayout({"small": 37, "large": 1_000_000})
    owner = layout.ids("large", np.arange(first, first + hot)) // layout.pages * owners // BLOCKS
    counts = np.bincount(owner, minlength=owners)
    assert counts.max() <= 1.5 * hot / owners


@pytest.mark.parametrize("stride", [2, 3, 64, 1000, 2531, 4096, 8192, 46368])
def test_strided_hot_rows_spread_over_the_owners(stride: int) -> None:
    layout = BlockLayout({"large": 100_000_000})
    owner = layout.ids("large", np.arange(2000) * stride) // layout.pages * 8 // BLOCKS
    assert np.bincount(owner, minlength=8).max() <= 1.5 * 2000 / 8


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_outside_its_table_is_refused(row: int) -> None:
    with pytest.raises(IndexError) as error:
        BlockLayout({"movie": 5}).ids("movie", np.array([row]))
    assert str(error.value) == f"table 'movie': expected rows in [0, 5), received {row}..{row}"
