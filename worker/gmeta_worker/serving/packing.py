"""Support and query rows of files as tasks: sorted by task, the support rows of a task first."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmeta_worker.metaio import Ragged, StepBatch
from gmeta_worker.serving.source import RawRows
from gmeta_worker.training.inputs import take_ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PackedTasks:
    """The tasks of two files.

    Attributes:
        batch: their rows as one step batch.
        names: of the tasks.
        query_rows: int64[q], which row of the query file each query row of the batch is.
    """

    batch: StepBatch
    names: pa.Array
    query_rows: Ints


def pack(support: RawRows, query: RawRows) -> PackedTasks:
    """Bring the rows of each task together, tasks with fewer support rows first.

    Tasks of like size lie side by side, so that those which are computed together need little padding.
    """
    keys = np.concatenate([support.task_keys, query.task_keys])
    task_keys, first, task = np.unique(keys, return_index=True, return_inverse=True)
    own = len(support.task_keys)
    by_size = np.argsort(np.bincount(task[:own], minlength=len(task_keys)), kind="stable")
    task = np.argsort(by_size)[task]
    order = np.argsort(task, kind="stable")
    batch = StepBatch(
        epoch=0,
        step=0,
        positions=(0, len(task_keys)),
        task_keys=task_keys[by_size],
        offsets=np.concatenate([[0], np.cumsum(np.bincount(task, minlength=len(task_keys)))]),
        support=np.bincount(task[:own], minlength=len(task_keys)),
        keys=np.concatenate([support.keys, query.keys])[order],
        multi=tuple(take_ragged(_joined(a, b), order) for a, b in zip(support.multi, query.multi, strict=True)),
        numeric=np.concatenate([support.numeric, query.numeric])[order],
        labels=np.concatenate([support.labels, query.labels])[order],
        row_ids=range(len(keys)),
    )
    names = pa.concat_arrays([support.tasks, query.tasks]).take(pa.array(first[by_size]))
    return PackedTasks(batch, names, order[order >= own] - own)


def _joined(first: Ragged, second: Ragged) -> Ragged:
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    return Ragged(offsets, np.concatenate([first.values, second.values]))
