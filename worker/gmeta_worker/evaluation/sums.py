"""The sums that scores are made of: integers, which add up to the same over any number of ranks."""

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.evaluation.exact_sum import DIGITS
from gmeta_worker.parallel import Group, all_gather

BINS = 10
CUTOFFS = (5, 10)

SUMS = np.dtype(
    [
        ("rows", np.int64, 2),  # with label 0, with label 1
        ("ordered_pairs", np.int64),  # twice the pairs of a positive row and a negative one below it, a tie half
        ("loss", np.int64, DIGITS),  # binary cross entropy of the rows
        ("bin_rows", np.int64, BINS),
        ("bin_positives", np.int64, BINS),
        ("bin_probability", np.int64, (BINS, DIGITS)),  # predicted
        ("tasks", np.int64, 2),  # with rows, with both labels among them
        ("auc", np.int64, DIGITS),  # of the tasks with both labels
        ("ndcg", np.int64, (len(CUTOFFS), DIGITS)),
    ]
)
Sums = NDArray[np.void]
"""An array of SUMS: one for each group of rows that is scored by itself."""


def add_up(group: Group, own: Sums) -> Sums:
    """The sums over all ranks."""
    total = own.copy()
    group.all_reduce(torch.from_numpy(total.view(np.int64))).wait()
    return total


def of_lower_ranks(group: Group, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sums of what the lower ranks, and what all ranks, pass."""
    everyone = all_gather(group, torch.from_numpy(own[None])).numpy()
    return everyone[: group.rank].sum(0), everyone.sum(0)
