"""Metrics of binary labels by their definitions, one row after the other."""

import math
from collections.abc import Sequence
from itertools import pairwise, permutations, product
from statistics import fmean

Row = tuple[float, bool]
"""Score and label."""


def auc(rows: Sequence[Row]) -> float:
    """The share of pairs in the right order, a tie counting one half."""
    pairs = list(product([s for s, label in rows if label], [s for s, label in rows if not label]))
    return sum((p > n) + 0.5 * (p == n) for p, n in pairs) / len(pairs) if pairs else math.nan


def ndcg(rows: Sequence[Row], k: int) -> float:
    """The mean over all orders of the rows in which no score stands before a higher one."""
    labels = {label for _, label in rows}
    if labels != {False, True}:
        return math.nan
    orders = [order for order in permutations(rows) if all(a[0] >= b[0] for a, b in pairwise(order))]
    best = _gain(sorted(rows, key=lambda row: -row[1]), k)
    return fmean(_gain(order, k) for order in orders) / best


def _gain(order: Sequence[Row], k: int) -> float:
    return sum(label / math.log2(place + 2) for place, (_, label) in enumerate(order[:k]))


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def log_loss(rows: Sequence[Row]) -> float:
    return fmean(math.log1p(math.exp(-z if label else z)) for z, label in rows) if rows else math.nan


def calibration(rows: Sequence[Row]) -> float:
    """Mean prediction over mean label."""
    positives = sum(label for _, label in rows)
    return sum(probability(z) for z, _ in rows) / positives if positives else math.nan


def calibration_error(rows: Sequence[Row], bins: int = 10) -> float:
    """Rows of one score belong to the bin of ranks that the mean of their ranks falls into."""
    if not rows:
        return math.nan
    gaps = [0.0] * bins
    for z, label in rows:
        lower, same = sum(other < z for other, _ in rows), sum(other == z for other, _ in rows)
        place = (2 * lower + same) * bins // (2 * len(rows))
        gaps[place] += probability(z) - label
    return sum(abs(gap) for gap in gaps) / len(rows)


def mean_of_known(values: Sequence[float]) -> float:
    """Without those that are not a number."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
