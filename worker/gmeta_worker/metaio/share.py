"""What one process reads of a split that several read together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio.batch import StepBatch

_PAGE_BYTES = 4096


def _all_of(batch: StepBatch) -> StepBatch:
    return batch


@dataclass(frozen=True)
class Share:
    """A process's share: it reads whole, and compares the checksums of, every ``size``-th chunk.

    Of the other chunks it reads what ``part`` takes of their step batches, so what is read in all grows little with the
    number of processes. A damaged chunk still stops them all if they go in lockstep: the process that checks it fails
    before the first step that needs it.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
        part: The part of a step batch that this process computes with.
    """

    rank: int = 0
    size: int = 1
    part: Callable[[StepBatch], StepBatch] = _all_of

    def checks(self, chunk: int) -> bool:
        """Whether this process reads chunk number ``chunk`` whole."""
        return chunk % self.size == self.rank


WHOLE = Share()


def read_in(batch: StepBatch) -> int:
    """Read the bytes of a mapped step batch, here and now, so that no later access waits; their number."""
    arrays: tuple[NDArray[Any], ...] = (
        batch.keys,
        batch.numeric,
        batch.labels,
        *(feature.values for feature in batch.multi),
    )
    return sum(_touch(array) for array in arrays)


def _touch(array: NDArray[Any]) -> int:
    array.reshape(-1).view(np.uint8)[::_PAGE_BYTES].max(initial=0)
    return array.nbytes
