"""A split as one reader sees it, long tasks cut or not, and the cutting of an open chunk into step batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio.batch import StepBatch
from gmeta_worker.metaio.chunk import Chunk
from gmeta_worker.metaio.dataset import Split
from gmeta_worker.metaio.order import StepSlice
from gmeta_worker.metaio.policy import SupportPolicy
from gmeta_worker.metaio.share import Share, read_in
from gmeta_worker.metaio.tasks import TaskIndex, cut_long_tasks


@dataclass(frozen=True)
class SupportDraw:
    """What decides the support sizes of an epoch."""

    policy: SupportPolicy
    seed: int = 0
    epoch: int = 0


@dataclass(frozen=True)
class OpenChunk:
    """A chunk that has been read, and the slices of it that are step batches.

    Attributes:
        chunk: Its columns.
        slices: Step batches to cut, in order.
        keys: Task of each of its task batches, int64[m].
        offsets: Rows of the chunk before each task batch, int64[m + 1].
        support: Support rows of each task batch, int64[m].
        candidates: Rows of each that support rows are drawn from, int64[m]; None if they are the first ones.
        first_row: Place of its first row in the split.
        epoch: The epoch that the support rows are of.
        bytes: Bytes of its file that were read.
    """

    chunk: Chunk
    slices: tuple[StepSlice, ...]
    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]
    support: NDArray[np.int64]
    candidates: NDArray[np.int64] | None
    first_row: int
    epoch: int
    bytes: int

    def step_batches(self) -> Iterator[StepBatch]:
        """Cut its step batches."""
        return map(self.step_batch, self.slices)

    def step_batch(self, part: StepSlice) -> StepBatch:
        """Cut one step batch, as views."""
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
            candidates=None if self.candidates is None else self.candidates[part.first : part.last],
        )


@dataclass(frozen=True)
class Layout:
    """Task batches of a split.

    Attributes:
        split: The split.
        index: Its task batches in file order.
        chunk_offsets: Task batches before each chunk, int64[chunks + 1].
    """

    split: Split
    index: TaskIndex
    chunk_offsets: NDArray[np.int64]

    @classmethod
    def of(cls, split: Split, max_task_rows: int | None = None) -> "Layout":
        """Lay out a split; tasks with more than ``max_task_rows`` rows become several task batches."""
        index = split.tasks if max_task_rows is None else cut_long_tasks(split.tasks, max_task_rows)
        return cls(split, index, index.chunk_offsets(len(split.card.chunks)))

    @property
    def batches_per_chunk(self) -> NDArray[np.int64]:
        """Task batches of each chunk, int64[chunks]."""
        return np.diff(self.chunk_offsets)

    def open_chunk(self, slices: tuple[StepSlice, ...], draw: SupportDraw, share: Share) -> OpenChunk:
        """Read the chunk that ``slices`` are of, or this process's share of it.

        Raises:
            DataError: Damaged chunk.
        """
        number = slices[0].chunk
        # A draw depends on the place of the task batch in the split, which no epoch changes.
        places = np.arange(self.chunk_offsets[number], self.chunk_offsets[number + 1], dtype=np.int64)
        rows, ranked = self.index.rows[places], self.index.ranked[places]
        whole = share.checks(number)
        opened = OpenChunk(
            chunk=self.split.read_chunk(number, whole=whole),
            slices=slices,
            keys=self.index.key[places],
            offsets=np.concatenate(([0], np.cumsum(rows))),
            support=draw.policy.sizes(rows, ranked, places, seed=draw.seed, epoch=draw.epoch),
            candidates=ranked if draw.policy.drawn else None,
            first_row=int(self.split.row_offsets[number]),
            epoch=draw.epoch,
            bytes=self.split.card.chunks[number].file.bytes,
        )
        return opened if whole else replace(opened, bytes=sum(read_in(share.part(b)) for b in opened.step_batches()))


def by_chunk(order: Iterable[StepSlice]) -> list[tuple[StepSlice, ...]]:
    """Group an order, in which the slices of a chunk are together, by chunk."""
    return [tuple(slices) for _, slices in groupby(order, key=attrgetter("chunk"))]
