"""A fast mixing function of 64-bit integers, the same on every machine."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix64(words: Words) -> Words:
    """SplitMix64 (Steele, Lea and Flood, 2014): a bijection; every output bit depends on every input bit."""
    words = words + GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
