"""Virtual blocks: which of 4,096 equal pieces of the embedding a row lies in.

Ranks own ranges of blocks, commits store ranges of blocks, and a change of the world size moves whole blocks. The rows
of all tables are numbered through, the numbers are cut into *pages* of 4,096, and every page gives each block exactly
one row. Inside a page neighbours lie far apart (an odd multiplier near the golden section), so a run of hot rows
spreads evenly over any number of owners; each page is rotated by a hash of its own, so rows at a stride of 4,096 spread
too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.embedding.mixing import mix64

Ints = NDArray[np.int64]

_LANE_BITS = 12
BLOCKS = 1 << _LANE_BITS
_MULTIPLIER = 2531
_INVERSE = pow(_MULTIPLIER, -1, BLOCKS)


@dataclass(frozen=True)
class BlockLayout:
    """Where the rows of several tables lie.

    A row's global id is `block * pages + page`: the ids of a range of blocks are contiguous.

    Args:
        tables: rows of each table; the order of the names is part of the layout.
    """

    tables: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(self.tables.values())

    @property
    def pages(self) -> int:
        """Rows of a block; up to 4,095 ids of the last page stand for no row."""
        return -(-self.rows // BLOCKS)

    @property
    def id_bound(self) -> int:
        """What every global id is below."""
        return BLOCKS * self.pages

    def ids(self, table: str, rows: Ints) -> Ints:
        """Global ids of a table's rows.

        Raises:
            IndexError: a row is not in the table.
        """
        if rows.size and (rows.min() < 0 or rows.max() >= self.tables[table]):
            raise IndexError(
                f"table '{table}': expected rows in [0, {self.tables[table]}), received {rows.min()}..{rows.max()}"
            )
        return self.scrambled(rows + self.first_rows[table])

    def scrambled(self, numbers: Ints) -> Ints:
        """Global ids of rows that are numbered through all tables, in any shape."""
        page, lane = numbers >> _LANE_BITS, numbers & (BLOCKS - 1)
        block: Ints = (lane * _MULTIPLIER + self._rotations[page]) & (BLOCKS - 1)
        return block * self.pages + page

    @cached_property
    def first_rows(self) -> Mapping[str, int]:
        """Number of each table's first row when the rows of all tables are numbered through."""
        return dict(zip(self.tables, np.cumsum([0, *self.tables.values()]).tolist(), strict=False))

    @cached_property
    def _rotations(self) -> NDArray[np.int16]:
        """Of every page: two bytes for 4,096 rows."""
        return _rotation(np.arange(self.pages, dtype=np.int64)).astype(np.int16)

    def id_bounds(self, ranges: Sequence[range]) -> list[int]:
        """Where the global ids of contiguous ranges of blocks begin, and where the last one's end."""
        return [0, *(blocks.stop * self.pages for blocks in ranges)]

    def located(self, ids: Ints) -> tuple[Ints, Ints]:
        """The inverse of `ids`: number of the table and row in it, for each id; (-1, -1) for an id that is no row."""
        block, page = np.divmod(ids, max(self.pages, 1))
        numbered = page * BLOCKS + ((block - _rotation(page)) * _INVERSE) % BLOCKS
        ends = np.cumsum([*self.tables.values()], dtype=np.int64)
        number = np.searchsorted(ends, numbered, side="right")
        starts = np.concatenate([[0], ends])
        real = numbered < self.rows
        return np.where(real, number, -1), np.where(real, numbered - starts[number], -1)


def _rotation(pages: Ints) -> Ints:
    return (mix64(np.atleast_1d(pages).astype(np.uint64)) % np.uint64(BLOCKS)).astype(np.int64)
