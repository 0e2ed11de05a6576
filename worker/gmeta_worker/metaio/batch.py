"""Step batches: the rows that one training step consumes, grouped by task, as numpy views of a chunk."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """A multi-valued feature: values of row i are ``values[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: int64[N + 1], from 0.
        values: int64[M] keys.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.int64]

    def slice(self, lo: int, hi: int) -> "Ragged":
        """Return rows lo..hi."""
        first, last = int(self.offsets[lo]), int(self.offsets[hi])
        return Ragged(self.offsets[lo : hi + 1] - first, self.values[first:last])


@dataclass(frozen=True)
class StepBatch:
    """The task batches of one step, T of them with N rows together.

    Attributes:
        epoch: Epoch, from 0.
        step: Step within the epoch, from 0.
        positions: [lo, hi): places of the task batches in the epoch's global order.
        task_keys: int64[T].
        offsets: int64[T + 1]; rows of task batch t are ``offsets[t]:offsets[t + 1]``.
        support: int64[T], size of each task batch's support set; the other rows are its query set.
        candidates: int64[T] where the support set is any ``support[t]`` of the first ``candidates[t]`` rows of the task
            batch, drawn by whoever cuts them; None where it is simply the first ``support[t]`` rows.
        keys: int64[N, C]: single-valued categorical features in schema order.
        multi: Multi-valued features in schema order.
        numeric: float32[N, D], already transformed.
        labels: float32[N, L]; NaN where a row lacks a label.
        row_ids: Places of the rows in the split's file order.
    """

    epoch: int
    step: int
    positions: tuple[int, int]
    task_keys: NDArray[np.int64]
    offsets: NDArray[np.int64]
    support: NDArray[np.int64]
    keys: NDArray[np.int64]
    multi: tuple[Ragged, ...]
    numeric: NDArray[np.float32]
    labels: NDArray[np.float32]
    row_ids: range
    candidates: NDArray[np.int64] | None = None

    @property
    def tasks(self) -> int:
        """Number of task batches."""
        return len(self.task_keys)

    @property
    def rows(self) -> int:
        """Number of rows, support and query."""
        return len(self.labels)

    def slice(self, lo: int, hi: int) -> "StepBatch":
        """Return task batches lo..hi: how a step is split over ranks. An empty slice is a batch without rows."""
        first, last = int(self.offsets[lo]), int(self.offsets[hi])
        return StepBatch(
            epoch=self.epoch,
            step=self.step,
            positions=(self.positions[0] + lo, self.positions[0] + hi),
            task_keys=self.task_keys[lo:hi],
            offsets=self.offsets[lo : hi + 1] - first,
            support=self.support[lo:hi],
            keys=self.keys[first:last],
            multi=tuple(feature.slice(first, last) for feature in self.multi),
            numeric=self.numeric[first:last],
            labels=self.labels[first:last],
            row_ids=self.row_ids[first:last],
            candidates=None if self.candidates is None else self.candidates[lo:hi],
        )
