"""Rows of all ranks shared out by score, so that each rank has whole ranges: an exact sort of what no rank can hold."""

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.evaluation.tallies import Ints, Tallies, merge
from gmeta_worker.parallel import Group, all_gather, exchange_counts

SAMPLES = 16
"""Samples for each pair of ranks: a range is at most about 1/16 larger than the mean."""


def share_out(group: Group, own: Tallies, tag_bits: int) -> Tallies:
    """Give each rank a range of scores, those of rank 0 the lowest, with the tallies of all ranks in it.

    The ranges hold about as many distinct keys each, however the rows and their scores are spread over the ranks: a
    rank needs memory for its own rows and for a range. All keys of one score belong to the same range.

    Args:
        group: the ranks.
        own: the rows of this rank; a key is a score, with a tag in its lowest bits.
        tag_bits: how many bits the tag has.
    """
    if group.size == 1:
        return own
    cuts = np.searchsorted(own.keys, _splitters(group, own.keys, tag_bits))
    counts = np.diff(cuts, prepend=0, append=len(own.keys)).tolist()
    sent = torch.from_numpy(np.stack([own.keys, own.negatives, own.positives], axis=1))
    keys, negatives, positives = group.all_to_all(sent, counts, exchange_counts(group, counts)).wait().numpy().T
    return merge(keys, negatives, positives)


def _splitters(group: Group, keys: Ints, tag_bits: int) -> NDArray[np.int64]:
    """int64[size - 1]: the first possible key of every range but rank 0's, the same on all ranks."""
    total = torch.tensor([len(keys)])
    group.all_reduce(total).wait()
    stride = max(1, int(total) // (SAMPLES * group.size**2))
    sample = np.sort(all_gather(group, torch.from_numpy(keys[stride // 2 :: stride])).numpy())
    places = np.arange(1, group.size) * len(sample) // group.size
    found = sample[places] if len(sample) else np.zeros(group.size - 1, dtype=np.int64)
    return found >> tag_bits << tag_bits
