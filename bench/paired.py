"""Ratios of two contestants that took turns: the median over pairs, and an interval for it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
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
    """How many of the smallest and of the largest ratios lie outside of the interval: the median lies above the k-th
    smallest of n unless fewer than k ratios fall below it, which is binomial with one half."""
    outside, cut = 0.0, 0
    while cut < pairs // 2:
        outside += comb(pairs, cut) / 2**pairs
        if 2 * outside > 1 - CONFIDENCE:
            return cut if cut == 0 else cut - 1
        cut += 1
    return max(cut - 1, 0)
