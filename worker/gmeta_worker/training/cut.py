"""Where a step batch is cut into support and query, and the random numbers of its rows."""

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.embedding.mixing import mix64
from gmeta_worker.metaio import StepBatch

Ints = NDArray[np.int64]


def row_seeds(batch: StepBatch, seed: int) -> Ints:
    """A random number for each row, int64[N].

    A function of the run's seed, the epoch, the task batch's place in the epoch and the row's place in the task batch:
    the same on whatever rank.
    """
    task = _tasks(batch)
    start = mix64(np.array([seed, batch.epoch], dtype=np.uint64))
    places = (task + batch.positions[0]).astype(np.uint64) << np.uint64(32)
    within = (np.arange(batch.rows) - batch.offsets[task]).astype(np.uint64)
    return mix64((places | within) ^ start[0] ^ mix64(start[1:])).view(np.int64)


def support_and_query(batch: StepBatch, seeds: Ints) -> tuple[Ints, Ints]:
    """Row numbers of the support and of the query, ascending; `seeds` [N] decide where the support is drawn."""
    order = np.arange(batch.rows)
    if batch.candidates is not None:
        task = _tasks(batch)
        barred = order - batch.offsets[task] >= batch.candidates[task]
        order = np.lexsort((seeds, barred, task))
    lengths = np.diff(batch.offsets)
    within = np.arange(batch.rows) - np.repeat(batch.offsets[:-1], lengths)
    chosen = within < np.repeat(batch.support, lengths)
    return np.sort(order[chosen]), np.sort(order[~chosen])


def _tasks(batch: StepBatch) -> Ints:
    """The task batch of each row."""
    return np.repeat(np.arange(batch.tasks), np.diff(batch.offsets))
