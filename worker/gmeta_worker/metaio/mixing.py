"""Counter-based random numbers: pure functions of (seed, purpose, position), the same on every host and numpy version.

numpy keeps no promise about the stream of ``Generator.permutation`` or ``integers`` across releases (NEP 19). The order
of an epoch is part of every commit, so it is drawn from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) instead.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


class Purpose(IntEnum):
    """What a stream is for: streams of different purposes are independent under one seed."""

    CHUNK_ORDER = 1
    STEP_ORDER = 2
    SUPPORT_SIZE = 3


def draw(seed: int, purpose: Purpose, *words: int, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one uint64 for each of ``positions``, a pure function of all arguments."""
    state = np.zeros(1, np.uint64)
    for word in (seed, purpose, *words):
        state = _finalise(state + np.array([word & 0xFFFFFFFFFFFFFFFF], np.uint64))
    return _finalise(state + positions.astype(np.uint64) * _GAMMA)


def shuffled(count: int, seed: int, purpose: Purpose, *words: int) -> NDArray[np.int64]:
    """Return a permutation of ``range(count)``, a pure function of all arguments."""
    ranks = draw(seed, purpose, *words, positions=np.arange(count, dtype=np.int64))
    return np.argsort(ranks, kind="stable").astype(np.int64)


def _finalise(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + _GAMMA
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
