"""Ranking metrics of binary labels, exact and in numpy.

AUC is the probability that a positive is scored above a negative, a tie counting one half (the Mann-Whitney statistic).
GAUC is its unweighted mean over the tasks that have both labels: a constant added to all scores of a task raises the
pooled AUC, never the GAUC, so only GAUC shows that adaptation learned preferences and not a mere bias.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


def auc(scores: Floats, labels: Floats) -> float:
    """Area under the ROC curve of `scores` [n] against 0/1 `labels` [n]; NaN where one class is absent."""
    return float(grouped_auc(scores, labels, np.zeros(len(scores), dtype=np.int64), 1)[0])


def gauc(scores: Floats, labels: Floats, tasks: Ints) -> float:
    """Unweighted mean AUC over the tasks (`tasks` [n], any integers) that have both labels; NaN where none has."""
    _, task = np.unique(tasks, return_inverse=True)
    per_task = grouped_auc(scores, labels, task.astype(np.int64), int(task.max()) + 1 if len(task) else 0)
    known = per_task[~np.isnan(per_task)]
    return float(known.mean()) if len(known) else float("nan")


def grouped_auc(scores: Floats, labels: Floats, groups: Ints, count: int) -> NDArray[np.float64]:
    """AUC of every group 0..count-1 in one pass: float64[count], NaN for a group without both labels.

    Within each group the samples get mid-ranks (ties share their mean rank); the positives' rank sum gives the AUC.
    """
    positive = labels > 0.5
    order = np.lexsort((scores, groups))
    sorted_groups, sorted_scores = groups[order], scores[order]
    first_of_group = np.searchsorted(sorted_groups, np.arange(count))
    tie = np.concatenate([[True], (np.diff(sorted_groups) != 0) | (np.diff(sorted_scores) != 0)])[: len(order)]
    tie_starts = np.flatnonzero(tie)
    tie_ends = np.append(tie_starts[1:], len(order))
    mid_rank = np.repeat((tie_starts + tie_ends + 1) / 2.0, tie_ends - tie_starts) - first_of_group[sorted_groups]
    rank_sum = np.bincount(sorted_groups, weights=mid_rank * positive[order], minlength=count)
    positives = np.bincount(groups, weights=positive, minlength=count)
    negatives = np.bincount(groups, minlength=count) - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((rank_sum - positives * (positives + 1) / 2) / (positives * negatives), dtype=np.float64)


def log_loss(logits: Floats, labels: Floats) -> float:
    """Mean binary cross entropy of `logits` [n]; NaN for no sample."""
    if not len(logits):
        return float("nan")
    z = logits.astype(np.float64)
    return float(np.mean(np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))))
