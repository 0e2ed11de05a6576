"""Embedding rows in the step: the lookup with pooling, and each task's own copy of the rows it adapts.

The rows that a task adapts are one packed leaf, a row for every (task, row) pair of the support. It is appended to the
step's unique rows, and the samples of a task, support and query alike, point at the task's copies where it has them. So
a query row whose id also occurs in the support is the adapted one, and every other query row is the shared one, in both
orders exactly.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gmeta_worker.meta.samples import RaggedIndex, Samples, TaskSamples


def stacked_rows(table: Tensor, samples: Samples) -> Tensor:
    """The rows of every feature of every sample, multi-valued ones mean-pooled: [rows, dim] -> [n, C + M, dim]."""
    count, single = samples.index.shape
    looked_up = table.index_select(0, samples.index.reshape(-1)).view(count, single, table.shape[1])
    pooled = [_mean_rows(table, ragged, count) for ragged in samples.multi]
    return torch.cat([looked_up, *(rows.unsqueeze(1) for rows in pooled)], 1) if pooled else looked_up


def _mean_rows(table: Tensor, ragged: RaggedIndex, count: int) -> Tensor:
    lengths = ragged.offsets.diff()
    owners = torch.repeat_interleave(torch.arange(count, device=lengths.device), lengths)
    total = table.new_zeros(count, table.shape[1]).index_add(0, owners, table.index_select(0, ragged.values))
    return total / lengths.clamp(min=1).unsqueeze(1).to(table.dtype)


@dataclass(frozen=True)
class RowCopies:
    """The rows that tasks adapt, and the samples pointing at them.

    Attributes:
        positions: int64[P], which of the U unique rows each (task, row) copy starts as.
        tasks: int64[P], the task of each copy.
        tables: int64[P], the table of each copy.
        samples: the step's samples with positions in the U + P rows.
    """

    positions: Tensor
    tasks: Tensor
    tables: Tensor
    samples: TaskSamples


def copy_rows(samples: TaskSamples, adapts: Tensor) -> RowCopies:
    """Give each task its own copies of the support rows of the adapting tables.

    Args:
        samples: of the step.
        adapts: bool[tables], whether the rows of a table adapt.
    """
    if not bool(adapts.any()):
        none = samples.tables.new_empty(0)
        return RowCopies(none, none, none, samples)
    unique = len(samples.tables)
    adapting = adapts[samples.tables]
    used = [column.codes(unique)[adapting[column.positions]] for column in _columns(samples.support)]
    codes = torch.unique(torch.cat(used))
    positions = codes % unique
    return RowCopies(
        positions=positions,
        tasks=codes // unique,
        tables=samples.tables[positions],
        samples=replace(
            samples,
            support=_redirected(samples.support, codes, unique),
            query=_redirected(samples.query, codes, unique),
        ),
    )


def with_copies(rows: Tensor, own: Tensor) -> Tensor:
    """The U unique rows and the P copies as one table, [U + P, dim]."""
    return torch.cat([rows, own]) if len(own) else rows


@dataclass(frozen=True)
class _Column:
    """Positions in the unique rows, flat, and the task of each."""

    task: Tensor
    positions: Tensor

    def codes(self, unique: int) -> Tensor:
        """One number for every (task, position) pair, ascending by task."""
        return self.task * unique + self.positions


def _columns(samples: Samples) -> list[_Column]:
    single = _Column(samples.task.repeat_interleave(samples.index.shape[1]), samples.index.reshape(-1))
    return [single, *(_Column(samples.task.repeat_interleave(r.offsets.diff()), r.values) for r in samples.multi)]


def _redirected(samples: Samples, codes: Tensor, unique: int) -> Samples:
    single, *multi = (_redirect(column, codes, unique) for column in _columns(samples))
    return replace(
        samples,
        index=single.view_as(samples.index),
        multi=tuple(replace(r, values=v) for r, v in zip(samples.multi, multi, strict=True)),
    )


def _redirect(column: _Column, codes: Tensor, unique: int) -> Tensor:
    if not len(codes):
        return column.positions
    wanted = column.codes(unique)
    found = torch.searchsorted(codes, wanted).clamp(max=len(codes) - 1)
    return torch.where(codes[found] == wanted, unique + found, column.positions)
