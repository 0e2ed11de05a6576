"""Counter-based random numbers: pure functions of (seed, purpose, position), the same on every host and numpy version.

numpy keeps no promise about the stream of ``Generator.permutation`` or ``integers`` across releases (NEP 19). The order
of an epoch is part of every commit, so it is drawn from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) instead.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GAMMA = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_MASK = 0xFFFFFFFFFFFFFFFF


class Purpose(IntEnum):
    """What a stream is for: streams of different purposes are independent under one seed."""

    CHUNK_ORDER = 1
    STEP_ORDER = 2
    SUPPORT_SIZE = 3


def draw(seed: int, purpose: Purpose, *words: int, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return one uint64 for each of ``positions``, a pure function of all arguments."""
    state = 0
    for word in (seed, purpose, *words):
        state = _mixed_word((state + word) & _MASK)
    return _mixed(np.uint64(state) + positions.astype(np.uint64) * np.uint64(_GAMMA))


def shuffled(count: int, seed: int, purpose: Purpose, *words: int) -> NDArray[np.int64]:
    """Return a permutation of ``range(count)``, a pure function of all arguments."""
    ranks = draw(seed, purpose, *words, positions=np.arange(count, dtype=np.int64))
    return np.argsort(ranks, kind="stable").astype(np.int64)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's step: add the constant, then mix."""
    state = state + np.uint64(_GAMMA)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    return state ^ (state >> np.uint64(31))


def _mixed_word(state: int) -> int:
    """The same for one word: numpy warns where a scalar wraps around, and an array of one is slow."""
    state = (state + _GAMMA) & _MASK
    state = ((state ^ (state >> 30)) * _FIRST) & _MASK
    state = ((state ^ (state >> 27)) * _SECOND) & _MASK
    return state ^ (state >> 31)
