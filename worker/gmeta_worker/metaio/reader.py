"""Step batches of a split, for training (shuffled, read ahead) and for evaluation (file order)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio.batch import StepBatch
from gmeta_worker.metaio.chunk import Chunk
from gmeta_worker.metaio.dataset import Split
from gmeta_worker.metaio.order import StepSlice, epoch_order, step_bounds, steps_in_epoch
from gmeta_worker.metaio.policy import SupportPolicy
from gmeta_worker.metaio.prefetch import Prefetcher
from gmeta_worker.metaio.tasks import TaskIndex, cut_long_tasks


@dataclass(frozen=True)
class _Layout:
    """Task batches of a split as one reader sees them: long tasks cut or not."""

    split: Split
    index: TaskIndex
    chunk_offsets: NDArray[np.int64]

    @classmethod
    def of(cls, split: Split, max_task_rows: int | None) -> "_Layout":
        index = split.tasks if max_task_rows is None else cut_long_tasks(split.tasks, max_task_rows)
        return cls(split, index, index.chunk_offsets(len(split.card.chunks)))

    @property
    def batches_per_chunk(self) -> NDArray[np.int64]:
        return np.diff(self.chunk_offsets)

    def positions(self, part: StepSlice) -> NDArray[np.int64]:
        """Return the positions in the split of a slice's task batches, whatever the epoch."""
        base = int(self.chunk_offsets[part.chunk])
        return np.arange(base + part.first, base + part.last, dtype=np.int64)

    def batch(self, chunk: Chunk, part: StepSlice, support: NDArray[np.int64], epoch: int) -> StepBatch:
        tasks = self.positions(part)
        rows = self.index.rows[tasks]
        offsets = np.concatenate(([0], np.cumsum(rows)))
        first = int(self.index.start[tasks[0]])
        last = first + int(offsets[-1])
        base = int(self.split.row_offsets[part.chunk])
        return StepBatch(
            epoch=epoch,
            step=part.step,
            positions=(part.position, part.position + len(tasks)),
            task_keys=self.index.key[tasks],
            offsets=offsets,
            support=support,
            keys=chunk.keys[first:last],
            multi=tuple(feature.slice(first, last) for feature in chunk.multi),
            numeric=chunk.numeric[first:last],
            labels=chunk.labels[first:last],
            row_ids=range(base + first, base + last),
        )

    def support(self, part: StepSlice, policy: SupportPolicy, seed: int, epoch: int) -> NDArray[np.int64]:
        tasks = self.positions(part)
        return policy.sizes(self.index.rows[tasks], self.index.ranked[tasks], tasks, seed=seed, epoch=epoch)


@dataclass
class _Counters:
    bytes_read: int = 0


def _read_slices(
    layout: _Layout, parts: list[StepSlice], policy: SupportPolicy, seed: int, epoch: int, counters: _Counters
) -> Iterator[StepBatch]:
    """Yield the step batches of ``parts``, which name each chunk in one run, so that it is read once."""
    number, chunk = -1, None
    for part in parts:
        if chunk is None or part.chunk != number:
            number, chunk = part.chunk, layout.split.read_chunk(part.chunk)
            counters.bytes_read += layout.split.card.chunks[number].file.bytes
        yield layout.batch(chunk, part, layout.support(part, policy, seed, epoch), epoch)


class StepReader:
    """Reads a split for training: every row once an epoch, in an order that depends on (seed, epoch) only.

    Args:
        split: The split.
        tasks_per_step: Global number of task batches of a step.
        support: How a task batch is cut into support and query.
        max_task_rows: Longer tasks become several task batches (see ``cut_long_tasks``).
        seed: Seed of order and support sizes.
        prefetch: Step batches that are read ahead, at least 1.

    Raises:
        DataError: Damaged task index.
    """

    def __init__(
        self,
        split: Split,
        *,
        tasks_per_step: int,
        support: SupportPolicy,
        max_task_rows: int | None = None,
        seed: int = 0,
        prefetch: int = 4,
    ) -> None:
        self._layout = _Layout.of(split, max_task_rows)
        self._tasks_per_step = tasks_per_step
        self._support = support
        self._seed = seed
        self._prefetch = prefetch
        self._counters = _Counters()
        self._current: Prefetcher[StepBatch] | None = None
        self._waited = 0.0

    def steps(self) -> int:
        """Count the steps of an epoch, the same for every epoch and world size."""
        return steps_in_epoch(self._layout.batches_per_chunk, self._tasks_per_step)

    def epoch(self, epoch: int, first_step: int = 0) -> Prefetcher[StepBatch]:
        """Read the step batches of an epoch from ``first_step`` on, ahead of the consumer.

        Use it in a ``with`` block or to its end; a damaged chunk raises DataError here, in the consumer, at the step
        that needs it. Only one epoch of a reader is read at a time: the former one is closed.
        """
        self._retire()
        order = epoch_order(self._layout.batches_per_chunk, self._tasks_per_step, seed=self._seed, epoch=epoch)
        steps = _read_slices(self._layout, order[first_step:], self._support, self._seed, epoch, self._counters)
        self._current = Prefetcher(steps, self._prefetch)
        return self._current

    @property
    def queue_depth(self) -> int:
        """Step batches that are ready now."""
        return self._current.queue_depth if self._current else 0

    @property
    def wait_seconds(self) -> float:
        """Time the consumer has waited for step batches, over all epochs."""
        return self._waited + (self._current.wait_seconds if self._current else 0.0)

    @property
    def bytes_read(self) -> int:
        """Bytes of chunks read, over all epochs."""
        return self._counters.bytes_read

    def _retire(self) -> None:
        if self._current:
            self._current.close()
            self._waited += self._current.wait_seconds
            self._current = None


class EvaluationReader:
    """Reads a split for evaluation: every task once, whole, in file order, with a fixed number of shots.

    Args:
        split: The split.
        tasks_per_step: Tasks of one batch at most.

    Raises:
        DataError: Damaged task index.
    """

    def __init__(self, split: Split, *, tasks_per_step: int) -> None:
        self._layout = _Layout.of(split, None)
        self._tasks_per_step = tasks_per_step

    def batches(self, k: int) -> Iterator[StepBatch]:
        """Yield batches whose tasks have min(k, ranked rows, rows - 1) support rows.

        Raises:
            DataError: Damaged chunk.
        """
        parts = _file_order(self._layout.batches_per_chunk, self._tasks_per_step)
        yield from _read_slices(self._layout, parts, SupportPolicy("fixed", size=k), 0, 0, _Counters())


def _file_order(batches_per_chunk: NDArray[np.int64], tasks_per_step: int) -> list[StepSlice]:
    parts: list[StepSlice] = []
    position = 0
    for chunk, count in enumerate(batches_per_chunk.tolist()):
        bounds = step_bounds(count, tasks_per_step).tolist()
        for first, last in pairwise(bounds):
            parts.append(StepSlice(len(parts), chunk, first, last, position + first))
        position += count
    return parts
