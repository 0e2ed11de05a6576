"""Who does what: things in a row, such as tasks or blocks, cut into contiguous ranges, one a rank. Pure functions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64] | NDArray[np.float64]


def split(offsets: Numbers, weights: Sequence[float]) -> tuple[int, ...]:
    """Cut items into one contiguous range a rank, so that the sizes of the ranges are in proportion to the weights.

    Each cut falls on the item boundary nearest to the exact place, so no rank is further off than half an item on
    either side. A rank may get none: if there are fewer items than ranks, or if its weight is 0.

    Args:
        offsets: [T + 1], the total size of the items before each one, from 0: the rows of tasks, the load of blocks.
        weights: one a rank, not negative and not all 0.

    Returns:
        [ranks + 1]: rank r has items bounds[r]:bounds[r + 1].

    Raises:
        ValueError: the weights are none, negative or all 0.
    """
    if not weights or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(f"weights: expected one a rank, none negative and some positive, received {list(weights)}")
    shares = np.cumsum(weights)[:-1] / np.sum(weights)
    middles = (offsets[:-1] + offsets[1:]) / 2
    cuts = np.searchsorted(middles, shares * float(offsets[-1]), side="right")
    return (0, *cuts.tolist(), len(middles))


def block_ranges(size: int, blocks: int = 4096) -> tuple[range, ...]:
    """Cut the virtual blocks into contiguous ranges that differ by at most one block, one a rank."""
    return tuple(range(rank * blocks // size, (rank + 1) * blocks // size) for rank in range(size))
