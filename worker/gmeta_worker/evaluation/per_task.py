"""Ranking metrics of each task: AUC, and nDCG@k. A task is a group."""

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.evaluation.grouped import GroupedTallies
from gmeta_worker.evaluation.tallies import Ints

PerTask = NDArray[np.float64]


def has_both_labels(tasks: GroupedTallies) -> NDArray[np.bool_]:
    """Tasks whose ranking can be right or wrong; the metrics of the others are NaN."""
    return (tasks.positives > 0) & (tasks.negatives > 0)


def task_auc(tasks: GroupedTallies) -> PerTask:
    """AUC of each task, a tie counting one half."""
    pairs = tasks.ordered_pairs(tasks.lower(tasks.tallies.negatives))
    return _quotient(pairs, 2 * tasks.positives * tasks.negatives)


def task_ndcg(tasks: GroupedTallies, k: int) -> PerTask:
    """Normalised discounted cumulative gain of the first k rows of each task, gain 1 for label 1.

    Rows of equal score stand in a random order, and the value is its mean over all such orders.
    """
    rows = tasks.tallies.rows
    last = tasks.rows[tasks.group] - tasks.lower(rows)
    discounts = _cumulative_discounts(k)
    shared = discounts[np.minimum(last, k)] - discounts[np.minimum(last - rows, k)]
    gained = np.bincount(tasks.group, weights=tasks.tallies.positives / rows * shared, minlength=len(tasks.rows))
    return np.where(has_both_labels(tasks), _quotient(gained, discounts[np.minimum(tasks.positives, k)]), np.nan)


def _cumulative_discounts(k: int) -> PerTask:
    """float64[k + 1]: the discounts of the first 0, 1, .., k places together."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2.0))])


def _quotient(part: PerTask | Ints, whole: PerTask | Ints) -> PerTask:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole, dtype=np.float64)
