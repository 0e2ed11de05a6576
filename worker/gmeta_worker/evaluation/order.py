"""Scores as integers in the same order, so that a sort of integers ranks rows together with their task and label."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

BITS = 32
_MAGNITUDE = np.int32(0x7FFFFFFF)


def to_ordered(scores: Floats) -> Ints:
    """Integers of 0..2^32-1 in the order of `scores`: equal for equal scores (0.0 and -0.0 are), NaN above all."""
    one_of_each = np.where(np.isnan(scores), np.float32(np.nan), scores.astype(np.float32) + np.float32(0))
    bits = one_of_each.view(np.int32)
    return (bits ^ (bits >> 31 & _MAGNITUDE)).astype(np.int64) + (1 << 31)


def from_ordered(ordered: Ints) -> Floats:
    """The scores that `to_ordered` was given."""
    bits = (ordered - (1 << 31)).astype(np.int32)
    return (bits ^ (bits >> 31 & _MAGNITUDE)).view(np.float32)
