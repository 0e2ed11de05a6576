"""Rows counted by their score and label: all that a metric of ranking needs to know."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tallies:
    """Rows by key, every key once, in ascending order.

    Attributes:
        keys: int64[m]; a score as an integer, with what else tells the rows apart.
        negatives: int64[m], rows with label 0.
        positives: int64[m], rows with label 1.
    """

    keys: Ints
    negatives: Ints
    positives: Ints

    @property
    def rows(self) -> Ints:
        """Rows with each key."""
        return self.negatives + self.positives


def count_rows(keys: Ints, positive: NDArray[np.bool_]) -> Tallies:
    """Count rows by their key; keys are not negative and below 2^62."""
    ordered = np.sort(keys << 1 | positive)
    labels = ordered & 1
    ordered >>= 1
    starts = _run_starts(ordered)
    rows = np.diff(starts, append=len(ordered))
    positives = np.add.reduceat(labels, starts)
    return Tallies(ordered[starts], rows - positives, positives)


def merge(keys: Ints, negatives: Ints, positives: Ints) -> Tallies:
    """Add up the counts of equal keys; quick where the keys are few ascending runs."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = _run_starts(ordered)
    return Tallies(
        ordered[starts], np.add.reduceat(negatives[order], starts), np.add.reduceat(positives[order], starts)
    )


def _run_starts(ordered: Ints) -> NDArray[np.intp]:
    """Where each run of equal integers begins."""
    if not len(ordered):
        return np.zeros(0, dtype=np.intp)
    return np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
