"""Step batches of a split, for training (shuffled, read ahead) and for evaluation (file order)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter

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


@dataclass(frozen=True)
class _Draw:
    """What decides the support sizes of an epoch."""

    policy: SupportPolicy
    seed: int
    epoch: int


@dataclass(frozen=True)
class _OpenChunk:
    """A chunk that is being read, and its task batches.

    Attributes:
        chunk: Its columns.
        keys: Task of each task batch, int64[m].
        offsets: Rows of the chunk before each task batch, int64[m + 1].
        support: Support rows of each task batch, int64[m].
        first_row: Place of its first row in the split.
        epoch: The epoch that the support rows are of.
    """

    chunk: Chunk
    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]
    support: NDArray[np.int64]
    first_row: int
    epoch: int

    @classmethod
    def read(cls, layout: _Layout, number: int, draw: _Draw) -> "_OpenChunk":
        positions = np.arange(layout.chunk_offsets[number], layout.chunk_offsets[number + 1], dtype=np.int64)
        rows = layout.index.rows[positions]
        return cls(
            chunk=layout.split.read_chunk(number),
            keys=layout.index.key[positions],
            offsets=np.concatenate(([0], np.cumsum(rows))),
            support=draw.policy.sizes(
                rows, layout.index.ranked[positions], positions, seed=draw.seed, epoch=draw.epoch
            ),
            first_row=int(layout.split.row_offsets[number]),
            epoch=draw.epoch,
        )

    def step_batch(self, part: StepSlice) -> StepBatch:
        offsets = self.offsets[part.first : part.last + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return StepBatch(
            epoch=self.epoch,
            step=part.step,
            positions=(part.position, part.position + part.last - part.first),
            task_keys=self.keys[part.first : part.last],
            offsets=offsets - first,
            support=self.support[part.first : part.last],
            keys=self.chunk.keys[first:last],
            multi=tuple(feature.slice(first, last) for feature in self.chunk.multi),
            numeric=self.chunk.numeric[first:last],
            labels=self.chunk.labels[first:last],
            row_ids=range(self.first_row + first, self.first_row + last),
        )


@dataclass
class _Counters:
    bytes_read: int = 0


def _step_batches(layout: _Layout, parts: Iterable[StepSlice], draw: _Draw, counters: _Counters) -> Iterator[StepBatch]:
    """Yield the step batches of ``parts``, in which the slices of a chunk are together, so that it is read once."""
    for number, slices in groupby(parts, key=attrgetter("chunk")):
        chunk = _OpenChunk.read(layout, number, draw)
        counters.bytes_read += layout.split.card.chunks[number].file.bytes
        yield from map(chunk.step_batch, slices)


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
        draw = _Draw(self._support, self._seed, epoch)
        steps = _step_batches(self._layout, order[first_step:], draw, self._counters)
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
        yield from _step_batches(self._layout, parts, _Draw(SupportPolicy("fixed", size=k), 0, 0), _Counters())


def _file_order(batches_per_chunk: NDArray[np.int64], tasks_per_step: int) -> list[StepSlice]:
    parts: list[StepSlice] = []
    position = 0
    for chunk, count in enumerate(batches_per_chunk.tolist()):
        bounds = step_bounds(count, tasks_per_step).tolist()
        for first, last in pairwise(bounds):
            parts.append(StepSlice(len(parts), chunk, first, last, position + first))
        position += count
    return parts
