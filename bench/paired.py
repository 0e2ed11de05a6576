"""Ratios of two contestants that took turns: the median over pairs, and an interval for it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import comb

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PairedRatio:
    """The median of the pairs' ratios, and the order statistics that hold it with at least 95 % confidence."""

    median: float
    low: float
    high: float


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> PairedRatio:
    """Of seconds that were measured in pairs, one after the other."""
    ratios = sorted(a / b for a, b in zip(numerator, denominator, strict=True))
    cut = trimmed(len(ratios))
    return PairedRatio(statistics.median(ratios), ratios[cut], ratios[-1 - cut])


def trimmed(pairs: int) -> int:
    """How many of the smallest, and of the largest, ratios lie outside of the interval.

    The median lies below the j-th smallest of n ratios if fewer than j fall below it: binomial with one half.
    """
    below = accumulate(comb(pairs, count) / 2**pairs for count in range(pairs))
    allowed = sum(2 * tail <= 1 - CONFIDENCE for tail in below)
    return max(int(allowed) - 1, 0)
