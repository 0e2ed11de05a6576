"""The global order of an epoch: which step batch is step s. Pure functions of (seed, epoch) and the task index.

An epoch permutes the chunks, and the step batches within each chunk, so that a chunk is read once. A step batch is a
contiguous slice of task batches of one chunk, the same slices in every epoch. Nothing here depends on the world size.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio.mixing import Purpose, shuffled


@dataclass(frozen=True)
class StepSlice:
    """Task batches [first, last) of a chunk; ``position`` is the first one's place in the epoch's global order."""

    step: int
    chunk: int
    first: int
    last: int
    position: int


def step_bounds(task_batches: int, tasks_per_step: int) -> NDArray[np.int64]:
    """Cut m task batches into ceil(m / tasks_per_step) slices whose sizes differ by at most one: int64[slices + 1]."""
    groups = -(-task_batches // tasks_per_step)
    return np.arange(groups + 1, dtype=np.int64) * task_batches // max(groups, 1)


def steps_in_epoch(batches_per_chunk: NDArray[np.int64], tasks_per_step: int) -> int:
    """Count the steps of an epoch: the same for every epoch and world size."""
    return int(np.sum(-(-batches_per_chunk // tasks_per_step)))


def epoch_order(batches_per_chunk: NDArray[np.int64], tasks_per_step: int, *, seed: int, epoch: int) -> list[StepSlice]:
    """List the step batches of an epoch in their global order.

    Args:
        batches_per_chunk: Task batches of each chunk of the split, int64[chunks].
        tasks_per_step: Global number of task batches in a step.
        seed: The training seed.
        epoch: The epoch, from 0.
    """
    order: list[StepSlice] = []
    position = 0
    for chunk in shuffled(len(batches_per_chunk), seed, Purpose.CHUNK_ORDER, epoch).tolist():
        bounds = step_bounds(int(batches_per_chunk[chunk]), tasks_per_step).tolist()
        for group in shuffled(len(bounds) - 1, seed, Purpose.STEP_ORDER, epoch, chunk).tolist():
            first, last = bounds[group], bounds[group + 1]
            order.append(StepSlice(len(order), chunk, first, last, position))
            position += last - first
    return order


def file_order(batches_per_chunk: NDArray[np.int64], tasks_per_step: int) -> list[StepSlice]:
    """List the same step batches without any shuffle."""
    order: list[StepSlice] = []
    position = 0
    for chunk, count in enumerate(batches_per_chunk.tolist()):
        for first, last in pairwise(step_bounds(count, tasks_per_step).tolist()):
            order.append(StepSlice(len(order), chunk, first, last, position + first))
        position += count
    return order
