"""What training will look up, from what a dataset knows of itself."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio import Dataset, EvaluationReader, Schema, StepBatch
from gmeta_worker.training.placement import Demand, KeyDemand

Ints = NDArray[np.int64]
SAMPLE_TASKS = 256


def demand_of(dataset: Dataset, tasks: float) -> Demand:
    """How often a rank asks for each key, when it has `tasks` training tasks in a step.

    The counts of the keys are in the dataset. Whether the uses of a key fall into few tasks (as those of a user's own
    features do) or into many is estimated from its first tasks, whose order is random.
    """
    train = dataset.split("train")
    distinct = keys_per_task(next(EvaluationReader(train, tasks_per_step=SAMPLE_TASKS).batches(0)), dataset.schema)
    return {
        name: KeyDemand(
            keys=dataset.vocabulary(name),
            shares=dataset.occurrences(name) / max(train.card.rows, 1),
            draws=number * tasks,
        )
        for name, number in distinct.items()
    }


def keys_per_task(batch: StepBatch, schema: Schema) -> Mapping[str, float]:
    """Distinct keys of each vocabulary in a task of `batch`, on average."""
    found: dict[str, list[Ints]] = {}
    for vocabulary, uses in _uses(batch, schema):
        found.setdefault(vocabulary, []).append(uses)
    return {name: _distinct(np.concatenate(uses, axis=1)) / batch.tasks for name, uses in found.items()}


def _distinct(columns: Ints) -> int:
    ordered = columns[:, np.lexsort(columns)]
    first = np.ones(columns.shape[1], dtype=np.bool_)
    first[1:] = (np.diff(ordered) != 0).any(axis=0)
    return int(np.count_nonzero(first))


def _uses(batch: StepBatch, schema: Schema) -> Iterator[tuple[str, Ints]]:
    """(vocabulary, int64[2, n]: task and key of every use) for each feature."""
    task = np.repeat(np.arange(batch.tasks), np.diff(batch.offsets))
    for column, feature in enumerate(schema.categorical):
        yield feature.vocabulary, np.stack([task, batch.keys[:, column]])
    for feature, ragged in zip(schema.multi, batch.multi, strict=True):
        yield feature.vocabulary, np.stack([np.repeat(task, np.diff(ragged.offsets)), ragged.values])
