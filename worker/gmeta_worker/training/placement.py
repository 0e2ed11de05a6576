"""Which rank owns which virtual blocks: ranges that the ranks' lookups load alike. A pure function of the dataset.

Equal ranges hold equally many rows, and where a block has many rows they are loaded alike as well. Where a block has
few, as in a small vocabulary on many ranks, some ranges happen to hold more of the popular rows. So the ranges are cut
by the load that is expected of each block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.embedding import BLOCKS, BlockLayout, Vocabulary
from gmeta_worker.parallel import split

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# A block counts this part of an average one even where nobody looks anything up, so that no range grows without bounds.
IDLE_LOAD = 0.1


@dataclass(frozen=True)
class KeyDemand:
    """How training uses the keys of a vocabulary.

    Attributes:
        keys: int64[K], those that occur in the training rows.
        shares: float64[K], the part of the rows that each occurs in.
        draws: keys that one rank draws in a step, about: a task counts each of its keys once.
    """

    keys: Ints
    shares: Floats
    draws: float


Demand = Mapping[str, KeyDemand]
"""By vocabulary."""

NOTHING_KNOWN: Demand = {}


def expected_loads(layout: BlockLayout, vocabularies: Mapping[str, Vocabulary], demand: Demand) -> Floats:
    """Rows that a rank asks of each block in a step, float64[blocks], if its keys were drawn independently.

    A rank asks for a row once a step, however many of its samples use it: a row of share p is asked for with
    probability 1 - (1 - p)^draws. This is what makes very popular rows no heavier than popular ones.
    """
    loads = np.zeros(BLOCKS)
    for name, use in demand.items():
        blocks = layout.ids(name, vocabularies[name].index(use.keys)) // layout.pages
        asked = 1 - (1 - np.minimum(use.shares, 1.0)) ** use.draws
        loads += np.bincount(blocks, weights=asked, minlength=BLOCKS)
    return loads


def place(loads: Floats, size: int) -> tuple[range, ...]:
    """Cut the blocks into one contiguous range a rank, of nearly equal load and none empty; equal ones without loads.

    Args:
        loads: float64[blocks].
        size: number of ranks, at most that of the blocks.
    """
    mean = float(loads.mean()) or 1.0
    offsets = np.concatenate([[0.0], np.cumsum(loads + IDLE_LOAD * mean)])
    cuts = np.array(split(offsets, (1.0,) * size)[1:-1], dtype=np.int64)
    step = np.arange(1, size)
    rising = np.maximum.accumulate(np.maximum(cuts, step) - step) + step
    bounds = [0, *np.minimum(rising, len(loads) - size + step).tolist(), len(loads)]
    return tuple(range(lo, hi) for lo, hi in pairwise(bounds))
