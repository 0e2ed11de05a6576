"""The samples of a step: packed, sorted by task, pointing into the step's unique embedding rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class RaggedIndex:
    """A multi-valued feature.

    Attributes:
        offsets: int64[n+1], where each sample's list begins.
        values: int64[m], positions in the step's unique rows.
    """

    offsets: Tensor
    values: Tensor

    def slice(self, lo: int, hi: int) -> "RaggedIndex":
        """The lists of samples lo..hi."""
        offsets = self.offsets[lo : hi + 1]
        return RaggedIndex(offsets - offsets[0], self.values[int(offsets[0]) : int(offsets[-1])])

    def joined(self, other: "RaggedIndex") -> "RaggedIndex":
        """These lists, then the other ones."""
        offsets = torch.cat([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return RaggedIndex(offsets, torch.cat([self.values, other.values]))

    def take(self, order: Tensor) -> "RaggedIndex":
        """The lists with the numbers `order`, int64[k]."""
        lengths = self.offsets.diff()[order]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        starts = torch.repeat_interleave(self.offsets[:-1][order] - offsets[:-1], lengths)
        return RaggedIndex(offsets, self.values[starts + torch.arange(len(starts), device=starts.device)])


@dataclass(frozen=True)
class Samples:
    """Packed samples of several tasks, sorted by task.

    Attributes:
        task: int64[n], ascending.
        numeric: [n, D].
        index: int64[n, C], positions of the single-valued features in the step's unique rows.
        multi: the multi-valued features.
        labels: [n, L], 0 or 1, NaN where the label of a sample is not known.
        label_weights: [L], what a label counts in losses.
        seeds: int64[n], one for every sample and epoch of the run: what its random numbers are drawn by.
    """

    task: Tensor
    numeric: Tensor
    index: Tensor
    multi: tuple[RaggedIndex, ...]
    labels: Tensor
    label_weights: Tensor
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def known(self) -> Tensor:
        """bool[n, L]: which labels are known."""
        return ~self.labels.isnan()

    @cached_property
    def labelled(self) -> Tensor:
        """bool[n]: samples with at least one known label; the others count in no loss."""
        return self.known.any(1)

    def slice(self, lo: int, hi: int) -> "Samples":
        """Samples lo..hi, as samples of one task with number 0."""
        return Samples(
            task=torch.zeros_like(self.task[lo:hi]),
            numeric=self.numeric[lo:hi],
            index=self.index[lo:hi],
            multi=tuple(ragged.slice(lo, hi) for ragged in self.multi),
            labels=self.labels[lo:hi],
            label_weights=self.label_weights,
            seeds=self.seeds[lo:hi],
        )

    def beside(self, other: "Samples") -> "Samples":
        """These samples, then the other ones; no longer sorted by task."""
        return Samples(
            task=torch.cat([self.task, other.task]),
            numeric=torch.cat([self.numeric, other.numeric]),
            index=torch.cat([self.index, other.index]),
            multi=tuple(a.joined(b) for a, b in zip(self.multi, other.multi, strict=True)),
            labels=torch.cat([self.labels, other.labels]),
            label_weights=self.label_weights,
            seeds=torch.cat([self.seeds, other.seeds]),
        )

    def merged(self, other: "Samples") -> "Samples":
        """The samples of both, by task."""
        together = self.beside(other)
        task, order = torch.sort(together.task, stable=True)
        return Samples(
            task=task,
            numeric=together.numeric[order],
            index=together.index[order],
            multi=tuple(ragged.take(order) for ragged in together.multi),
            labels=together.labels[order],
            label_weights=self.label_weights,
            seeds=together.seeds[order],
        )


@dataclass(frozen=True)
class TaskSamples:
    """Support and query samples of a step's tasks.

    Attributes:
        tasks: T; task numbers are 0..T-1.
        support: samples that a task adapts on; a task may have none.
        query: samples that its adapted model is judged by.
        tables: int64[U], number of the table that each unique row belongs to.
    """

    tasks: int
    support: Samples
    query: Samples
    tables: Tensor

    def one_by_one(self) -> Iterator["TaskSamples"]:
        """Each task that has query samples, alone."""
        numbers = torch.arange(self.tasks + 1, device=self.query.task.device)
        support = torch.searchsorted(self.support.task, numbers).tolist()
        query = torch.searchsorted(self.query.task, numbers).tolist()
        for t in range(self.tasks):
            if query[t] < query[t + 1]:
                yield TaskSamples(
                    tasks=1,
                    support=self.support.slice(support[t], support[t + 1]),
                    query=self.query.slice(query[t], query[t + 1]),
                    tables=self.tables,
                )
