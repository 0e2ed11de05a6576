"""Sums of floats that depend neither on their order nor on how many ranks share them out.

A number is cut into digits of 32 bits, and digits are added up as integers, which is exact. What lies below 2^-60 is
cut off. So the sums over ranks are the same bits for any number of ranks.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_EXPONENTS = (100, 68, 36, 4, -28, -60)
_TOO_LARGE = 2.0**128
DIGITS = len(_EXPONENTS) + 1
"""Integers of a sum: its digits, and how many of its addends were not finite or too large."""


def exact_sums(values: NDArray[np.float64], bounds: Ints) -> Ints:
    """Sums of the segments of `values`, as digits.

    Args:
        values: float64[n], none negative, fewer than 2^31.
        bounds: [segments + 1]: segment s has the values bounds[s]:bounds[s + 1].

    Returns:
        int64[segments, DIGITS]; digits of several ranks may be added up.
    """
    known = values < _TOO_LARGE
    rest = np.where(known, values, 0.0)
    largest = rest.max(initial=0.0)
    digits = np.zeros((len(bounds) - 1, DIGITS), dtype=np.int64)
    digits[:, -1] = 0 if known.all() else segment_sums((~known).astype(np.int64), bounds)
    for place, exponent in enumerate(_EXPONENTS):
        if largest >= 2.0**exponent:
            digit = np.floor(rest * 2.0**-exponent)
            digits[:, place] = segment_sums(digit.astype(np.int64), bounds)
            digit *= 2.0**exponent
            rest -= digit
    return digits


def value_of(digits: Ints) -> float:
    """The sum that `digits` [DIGITS] stand for, rounded once; NaN if an addend was not finite or too large."""
    *places, unknown = digits.tolist()
    whole = sum(digit << exponent - _EXPONENTS[-1] for digit, exponent in zip(places, _EXPONENTS, strict=True))
    return float("nan") if unknown else whole / (1 << -_EXPONENTS[-1])


def segment_sums(values: Ints, bounds: Ints) -> Ints:
    """Sums of values[bounds[s]:bounds[s + 1]]; a segment may be empty."""
    starts, ends = bounds[:-1], bounds[1:]
    sums = np.zeros(len(starts), dtype=np.int64)
    filled = starts < ends
    sums[filled] = np.add.reduceat(values[: bounds[-1]], starts[filled])
    return sums
