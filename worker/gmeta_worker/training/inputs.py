"""From a step batch as read (numpy, 64-bit keys) to what a step computes on (tensors, positions in the rows)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.embedding import KeyColumns, RowStore, Vocabulary, distinct
from gmeta_worker.meta import RaggedIndex, Samples, TaskSamples
from gmeta_worker.metaio import Ragged, Schema, StepBatch
from gmeta_worker.training.cut import row_seeds, support_and_query

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StepInputs:
    """One step's samples and the rows they need.

    Attributes:
        ids: int64[U], sorted unique global row ids of support and query together: the one lookup of the step.
        samples: the packed samples; their indices point into the U looked-up rows.
    """

    ids: torch.Tensor
    samples: TaskSamples


class InputAssembler:
    """Maps keys to rows with the job's vocabularies and packs support and query.

    Args:
        schema: columns of the dataset, in the order of the step batches.
        vocabularies: name -> key-to-row mapping; every feature's vocabulary is in it.
        store: gives the global id of a table's row.
        label_weights: what each label counts in losses, in the schema's order; 1 each if they are not given.
        seed: of the run's random numbers.
        dtype: of numeric features, labels and their weights.
        device: where the tensors go.
    """

    def __init__(
        self,
        schema: Schema,
        vocabularies: Mapping[str, Vocabulary],
        store: RowStore,
        label_weights: Sequence[float] | None = None,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        self._seed = seed
        self._dtype = dtype
        self._device = device or torch.device("cpu")
        weights = [1.0] * len(schema.labels) if label_weights is None else label_weights
        self._label_weights = torch.tensor(weights, dtype=dtype, device=self._device)
        number = {name: number for number, name in enumerate(vocabularies)}
        self._tables = np.array([number[f.vocabulary] for f in (*schema.categorical, *schema.multi)], dtype=np.int64)
        self._ids = store.layout.id_bound
        self._singles = KeyColumns(store.layout, vocabularies, [f.vocabulary for f in schema.categorical])
        self._multi = [KeyColumns(store.layout, vocabularies, [f.vocabulary]) for f in schema.multi]

    def __call__(self, batch: StepBatch) -> StepInputs:
        """Pack `batch`: one set of unique rows, support rows apart from query rows, tasks in order."""
        columns = batch.keys.shape[1]
        lists = [of.ids(ragged.values[:, None])[:, 0] for of, ragged in zip(self._multi, batch.multi, strict=True)]
        ids = [self._singles.ids(batch.keys).reshape(-1), *lists]
        found = distinct(np.concatenate(ids), self._ids)
        index, *positions = np.split(found.inverse, np.cumsum([len(each) for each in ids])[:-1])
        multi = [Ragged(r.offsets, p) for r, p in zip(batch.multi, positions, strict=True)]
        tables = np.concatenate(
            [
                np.tile(self._tables[:columns], len(batch.keys)),
                np.repeat(self._tables[columns:], [len(each) for each in lists]),
            ]
        )
        seeds = row_seeds(batch, self._seed)
        support, query = support_and_query(batch, seeds)
        index = index.reshape(batch.keys.shape)
        samples = TaskSamples(
            tasks=len(batch.support),
            support=self._samples(batch, support, index, multi, seeds),
            query=self._samples(batch, query, index, multi, seeds),
            tables=self._tensor(tables[found.first]),
        )
        return StepInputs(ids=self._tensor(found.values), samples=samples)

    def _samples(self, batch: StepBatch, rows: Ints, index: Ints, multi: Sequence[Ragged], seeds: Ints) -> Samples:
        task = np.searchsorted(batch.offsets, rows, side="right") - 1
        return Samples(
            task=self._tensor(task),
            numeric=self._tensor(batch.numeric[rows]).to(self._dtype),
            index=self._tensor(index[rows]),
            multi=tuple(self._ragged(take_ragged(ragged, rows)) for ragged in multi),
            labels=self._tensor(batch.labels[rows]).to(self._dtype),
            label_weights=self._label_weights,
            seeds=self._tensor(seeds[rows]),
        )

    def _ragged(self, ragged: Ragged) -> RaggedIndex:
        return RaggedIndex(offsets=self._tensor(ragged.offsets), values=self._tensor(ragged.values))

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def take_ragged(ragged: Ragged, rows: Ints) -> Ragged:
    """The lists of `rows`, in that order."""
    lengths = np.diff(ragged.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    source = np.repeat(ragged.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Ragged(offsets, ragged.values[source])
