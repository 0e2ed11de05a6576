"""Rows ranked by their score within groups, such as tasks, all groups at once."""

import numpy as np

from gmeta_worker.evaluation.exact_sum import segment_sums
from gmeta_worker.evaluation.order import BITS
from gmeta_worker.evaluation.tallies import Ints, Tallies


class GroupedTallies:
    """The rows of groups 0..groups-1, of which one may have none.

    Args:
        tallies: the rows; a key is group << 32 | score as an integer.
        groups: number of groups, at most 2^30.

    Attributes:
        scores: int64[m], the score of each key.
        group: int64[m], the group of each key.
        bounds: int64[groups + 1], where the keys of each group begin and end.
        negatives: int64[groups], rows with label 0.
        positives: int64[groups], rows with label 1.
    """

    def __init__(self, tallies: Tallies, groups: int) -> None:
        self.tallies = tallies
        self.scores = tallies.keys & (1 << BITS) - 1
        self.group = tallies.keys >> BITS
        self.bounds = np.searchsorted(tallies.keys, np.arange(groups + 1, dtype=np.int64) << BITS)
        self.negatives = segment_sums(tallies.negatives, self.bounds)
        self.positives = segment_sums(tallies.positives, self.bounds)

    @property
    def rows(self) -> Ints:
        """int64[groups], rows of each group."""
        return self.negatives + self.positives

    def lower(self, counts: Ints) -> Ints:
        """For each key, the counts (one a key) of the lower keys of its group together."""
        before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        lower: Ints = before[:-1] - before[self.bounds][self.group]
        return lower

    def ordered_pairs(self, negatives_below: Ints) -> Ints:
        """Twice the pairs, in each group, of a positive row and a negative one that scores lower; a tie counts half.

        Args:
            negatives_below: for each key, the negative rows of its group that score lower.
        """
        return segment_sums(self.tallies.positives * (2 * negatives_below + self.tallies.negatives), self.bounds)
