"""Metrics of rows pooled over tasks: AUC, log loss and calibration, as sums over one rank's range of scores.

A group is a pool here: all rows, or those of a class of tasks.
"""

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.evaluation.exact_sum import exact_sums, segment_sums
from gmeta_worker.evaluation.grouped import GroupedTallies
from gmeta_worker.evaluation.order import from_ordered
from gmeta_worker.evaluation.sums import BINS, Sums
from gmeta_worker.evaluation.tallies import Ints, Tallies


def add_pooled(sums: Sums, pools: GroupedTallies, below: Ints, rows: Ints) -> None:
    """Fill in the sums over the rows of a range.

    Args:
        sums: a SUMS for each pool.
        pools: the rows of the range.
        below: negative and positive rows in lower ranges, [pools, 2].
        rows: negative and positive rows in all ranges, [pools, 2].
    """
    tallies = pools.tallies
    logits = from_ordered(pools.scores).astype(np.float64)
    raised = np.exp(-np.abs(logits))
    bins = bin_bounds(pools, below.sum(1), rows.sum(1))
    by_bin = (len(rows), BINS)
    sums["rows"] = np.stack([pools.negatives, pools.positives], axis=1)
    sums["ordered_pairs"] = pools.ordered_pairs(pools.lower(tallies.negatives) + below[pools.group, 0])
    sums["loss"] = exact_sums(_loss(logits, raised, tallies), pools.bounds)
    sums["bin_rows"] = segment_sums(tallies.rows, bins).reshape(by_bin)
    sums["bin_positives"] = segment_sums(tallies.positives, bins).reshape(by_bin)
    sums["bin_probability"] = exact_sums(_probability(logits, raised) * tallies.rows, bins).reshape(*by_bin, -1)


def bin_bounds(pools: GroupedTallies, below: Ints, rows: Ints) -> Ints:
    """Where the calibration bins of each pool begin and end in a range: int64[pools * BINS + 1].

    The rows of a pool in the order of their scores are cut into bins of equal numbers of rows. Rows of one score stay
    together: they belong to the bin that their middle falls into.

    Args:
        pools: the range.
        below: rows in lower ranges, [pools].
        rows: rows in all ranges, [pools].
    """
    twice_the_middle = 2 * (below[pools.group] + pools.lower(pools.tallies.rows)) + pools.tallies.rows
    bins = twice_the_middle * BINS // (2 * rows[pools.group])
    bounds: Ints = np.searchsorted(pools.group * BINS + bins, np.arange(len(rows) * BINS + 1))
    return bounds


def _loss(logits: NDArray[np.float64], raised: NDArray[np.float64], tallies: Tallies) -> NDArray[np.float64]:
    """Cross entropy of the rows of each key: softplus(z) of a negative row, softplus(-z) of a positive one."""
    bend = np.log1p(raised)
    with np.errstate(invalid="ignore"):  # no row of a loss that is not finite: the sum is unknown all the same
        of_negatives = tallies.negatives * (np.maximum(logits, 0) + bend)
        of_positives = tallies.positives * (np.maximum(-logits, 0) + bend)
    total: NDArray[np.float64] = of_negatives + of_positives
    return total


def _probability(logits: NDArray[np.float64], raised: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(logits < 0, raised, 1.0) / (1.0 + raised)
