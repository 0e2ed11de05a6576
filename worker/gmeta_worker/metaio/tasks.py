"""The task index of a split, and how training cuts long tasks into several task batches."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

INDEX_SCHEMA = pa.schema(
    [
        ("key", pa.int64()),
        ("value", pa.string()),
        ("chunk", pa.int64()),
        ("start", pa.int64()),
        ("rows", pa.int64()),
        ("ranked", pa.int64()),
    ]
)


@dataclass(frozen=True)
class TaskIndex:
    """Where each task batch lies, in file order; int64[T] each.

    Attributes:
        key: Key of the task.
        chunk: Chunk that holds it.
        start: Its first row in that chunk.
        rows: Its rows.
        ranked: Its leading rows that may be support.
    """

    key: NDArray[np.int64]
    chunk: NDArray[np.int64]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    ranked: NDArray[np.int64]

    def chunk_offsets(self, chunks: int) -> NDArray[np.int64]:
        """Return int64[chunks + 1]: task batches of chunk c are ``offsets[c]:offsets[c + 1]``."""
        return np.searchsorted(self.chunk, np.arange(chunks + 1, dtype=np.int64)).astype(np.int64)


def decode_index(batch: pa.RecordBatch) -> TaskIndex:
    """Return numpy views of a record batch with the columns ``INDEX_SCHEMA``."""
    names = ("key", "chunk", "start", "rows", "ranked")
    return TaskIndex(**{name: batch.column(name).to_numpy(zero_copy_only=True) for name in names})


def piece_counts(rows: NDArray[np.int64], max_rows: int) -> NDArray[np.int64]:
    """Return how many pieces each task is cut into: as few as ``max_rows`` allows, none of them of a single row.

    Three rows at ``max_rows`` 2 stay one piece: a piece of one row could have no support or no query.
    """
    return np.maximum(np.minimum(-(-rows // max_rows), rows // 2), 1)


def cut_long_tasks(index: TaskIndex, max_rows: int) -> TaskIndex:
    """Cut tasks longer than ``max_rows`` into contiguous pieces whose sizes differ by at most one row.

    A piece is a task batch of its own. Its rows keep the support order, so that its own first rows are a fair support
    set; those of them that the order ranked may be support: the piece [a, b) of a task with r ranked rows has
    min(max(r - a, 0), b - a) ranked rows. Behind the last ranked row a piece is query only.
    """
    counts = piece_counts(index.rows, max_rows)
    task = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    piece = np.arange(len(task), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    first = piece * index.rows[task] // counts[task]
    last = (piece + 1) * index.rows[task] // counts[task]
    return TaskIndex(
        key=index.key[task],
        chunk=index.chunk[task],
        start=index.start[task] + first,
        rows=last - first,
        ranked=np.clip(index.ranked[task] - first, 0, last - first),
    )
