"""Who does what: the tasks of a step and the virtual blocks, cut into contiguous ranges, one a rank. Pure functions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def split(offsets: Ints, weights: Sequence[float]) -> tuple[int, ...]:
    """Cut tasks into one contiguous range a rank, so that the ranks' rows are in proportion to their weights.

    Each cut falls on the task boundary nearest to the exact place, so no rank is further off than half a task on either
    side. A rank may get none: if there are fewer tasks than ranks, or if its weight is 0.

    Args:
        offsets: int64[T + 1], rows before each task.
        weights: one a rank, not negative and not all 0.

    Returns:
        [ranks + 1]: rank r has tasks bounds[r]:bounds[r + 1].

    Raises:
        ValueError: the weights are none, negative or all 0.
    """
    if not weights or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(f"weights: expected one a rank, none negative and some positive, received {list(weights)}")
    shares = np.cumsum(weights)[:-1] / np.sum(weights)
    middles = (offsets[:-1] + offsets[1:]) / 2
    cuts = np.searchsorted(middles, shares * int(offsets[-1]), side="right")
    return (0, *cuts.tolist(), len(middles))


def block_ranges(size: int, blocks: int = 4096) -> tuple[range, ...]:
    """Cut the virtual blocks into contiguous ranges that differ by at most one block, one a rank."""
    return tuple(range(rank * blocks // size, (rank + 1) * blocks // size) for rank in range(size))
