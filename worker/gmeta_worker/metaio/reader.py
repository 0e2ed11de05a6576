"""Step batches of a split, for training (shuffled, read ahead) and for evaluation (file order)."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Self

from gmeta_worker.metaio.batch import StepBatch
from gmeta_worker.metaio.dataset import Split
from gmeta_worker.metaio.layout import Layout, OpenChunk, SupportDraw, by_chunk
from gmeta_worker.metaio.order import StepSlice, epoch_order, file_order, steps_in_epoch
from gmeta_worker.metaio.policy import SupportPolicy
from gmeta_worker.metaio.prefetch import Prefetcher
from gmeta_worker.metaio.share import WHOLE, Share


@dataclass
class _Counters:
    """What the reading thread has done (``opened``, ``bytes_read``) and what the consumer has taken."""

    opened: int = 0
    bytes_read: int = 0
    taken: int = 0


class EpochSteps:
    """The step batches of an epoch: an iterator, and a context manager that ends its thread.

    The thread reads chunks, from disk and with their checksums. The consumer cuts step batches from them, as views:
    a cut costs 20 us, a hand-over between threads more.
    """

    def __init__(self, chunks: Iterator[OpenChunk], chunks_ahead: int, counters: _Counters) -> None:
        self._chunks = Prefetcher(chunks, chunks_ahead)
        self._steps: Iterator[StepBatch] = iter(())
        self._counters = counters

    @property
    def wait_seconds(self) -> float:
        """Time the consumer has waited for the thread."""
        return self._chunks.wait_seconds

    def close(self) -> None:
        """End the thread and wait for it; safe to call again."""
        self._steps = iter(())
        self._chunks.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StepBatch:
        while (batch := next(self._steps, None)) is None:
            chunk = next(self._chunks)
            self._steps = chunk.step_batches()
        self._counters.taken += 1
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StepReader:
    """Reads a split for training: every row once an epoch, in an order that depends on (seed, epoch) only.

    Args:
        split: The split.
        tasks_per_step: Global number of task batches of a step.
        support: How a task batch is cut into support and query.
        max_task_rows: Longer tasks become several task batches (see ``cut_long_tasks``).
        seed: Seed of order and support sizes.
        prefetch: Step batches to read ahead, at least 1; rounded up to whole chunks.
        share: What this process reads, if several read the split together; each is given the whole step batches.

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
        share: Share = WHOLE,
    ) -> None:
        self._layout = Layout.of(split, max_task_rows)
        self._tasks_per_step = tasks_per_step
        self._support = support
        self._seed = seed
        self._prefetch = prefetch
        self._share = share
        self._counters = _Counters()
        self._current: EpochSteps | None = None
        self._waited = 0.0

    def steps(self) -> int:
        """Count the steps of an epoch, the same for every epoch and world size."""
        return steps_in_epoch(self._layout.batches_per_chunk, self._tasks_per_step)

    def epoch(self, epoch: int, first_step: int = 0) -> EpochSteps:
        """Read the step batches of an epoch from ``first_step`` on, ahead of the consumer.

        Use it in a ``with`` block or to its end. A damaged chunk raises DataError in the consumer, at the first step
        that needs it. Only one epoch of a reader is read at a time: the former one is closed.
        """
        self._retire()
        order = epoch_order(self._layout.batches_per_chunk, self._tasks_per_step, seed=self._seed, epoch=epoch)
        chunks = self._open_chunks(order[first_step:], SupportDraw(self._support, self._seed, epoch))
        steps_per_chunk = len(order) / len(self._layout.batches_per_chunk)
        self._current = EpochSteps(chunks, ceil(self._prefetch / steps_per_chunk), self._counters)
        return self._current

    @property
    def queue_depth(self) -> int:
        """Step batches that are read and not taken."""
        return self._counters.opened - self._counters.taken

    @property
    def wait_seconds(self) -> float:
        """Time the consumer has waited for step batches, over all epochs."""
        return self._waited + (self._current.wait_seconds if self._current else 0.0)

    @property
    def bytes_read(self) -> int:
        """Bytes of chunks read, over all epochs."""
        return self._counters.bytes_read

    def _open_chunks(self, order: list[StepSlice], draw: SupportDraw) -> Iterator[OpenChunk]:
        counters = self._counters
        for slices in by_chunk(order):
            chunk = self._layout.open_chunk(slices, draw, self._share)
            counters.bytes_read += chunk.bytes
            counters.opened += len(slices)
            yield chunk

    def _retire(self) -> None:
        if self._current:
            self._current.close()
            self._waited += self._current.wait_seconds
            self._current = None
        self._counters.opened = self._counters.taken = 0


class EvaluationReader:
    """Reads a split for evaluation: every task once, whole, in file order, with a fixed number of shots.

    Args:
        split: The split.
        tasks_per_step: Tasks of one batch at most.
        share: What this process reads, if several read the split together.

    Raises:
        DataError: Damaged task index.
    """

    def __init__(self, split: Split, *, tasks_per_step: int, share: Share = WHOLE) -> None:
        self._layout = Layout.of(split)
        self._order = file_order(self._layout.batches_per_chunk, tasks_per_step)
        self._share = share

    def batches(self, k: int) -> Iterator[StepBatch]:
        """Yield batches whose tasks have min(k, ranked rows, rows - 1) support rows.

        Raises:
            DataError: Damaged chunk.
        """
        draw = SupportDraw(SupportPolicy("fixed", size=k))
        for slices in by_chunk(self._order):
            chunk = self._layout.open_chunk(slices, draw, self._share)
            yield from chunk.step_batches()
