"""Rows in file order, in memory that does not grow with them.

Rows are dealt to buckets of consecutive tasks as they come, each bucket a file, and one bucket after another is sorted
in memory; a bucket that is still too large is dealt once more. The engine's own sort fails within its memory limit when
rows are many or wide.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

POSITION = "position"
ORDER = (POSITION, "rank", "tie")
BUCKET_BYTES = 2**25
"""Of the rows that are sorted at once; sorting holds them twice."""

MOST_BUCKETS = 64
"""Files that are written at once."""


def in_file_order(
    stream: Iterator[pa.RecordBatch], rows: int, tasks: range, folder: Path, bucket_bytes: int = BUCKET_BYTES
) -> Iterator[pa.Table]:
    """Sort rows by ``position``, ``rank`` (null last) and ``tie``.

    Args:
        stream: Batches that have these columns among others.
        rows: How many will come, at least one.
        tasks: What ``position`` may be.
        folder: Where the buckets' files are made; none is left.
        bucket_bytes: Rows of more bytes are sorted in parts, unless they are of one task.

    Yields:
        Tables of consecutive rows, without the three columns.
    """
    first = next(stream)
    size = rows * first.nbytes // first.num_rows
    count = min(-(-size // bucket_bytes), len(tasks), MOST_BUCKETS)
    together = chain([first], stream)
    if count <= 1:
        yield _sorted(pa.Table.from_batches(together))
        return
    bounds = np.linspace(tasks.start, tasks.stop, count + 1).astype(np.int64)
    with TemporaryDirectory(dir=folder) as buckets:
        counts = _deal(together, bounds, Path(buckets))
        for number, part in enumerate(pairwise(bounds.tolist())):
            file = Path(buckets) / str(number)
            if counts[number]:
                with pa.OSFile(str(file)) as raw, pa.ipc.open_stream(raw) as reader:
                    yield from in_file_order(iter(reader), counts[number], range(*part), folder, bucket_bytes)
            file.unlink()


def _deal(stream: Iterator[pa.RecordBatch], bounds: NDArray[np.int64], folder: Path) -> list[int]:
    """Write each row to the file of its bucket, and return the rows of each."""
    counts = np.zeros(len(bounds) - 1, np.int64)
    with ExitStack() as files:
        writers: list[pa.ipc.RecordBatchStreamWriter] = []
        for batch in stream:
            if not writers:
                sinks = [files.enter_context(pa.OSFile(str(folder / str(n)), "wb")) for n in range(len(counts))]
                writers = [files.enter_context(pa.ipc.new_stream(sink, batch.schema)) for sink in sinks]
            bucket = np.searchsorted(bounds, batch[POSITION].to_numpy(), side="right") - 1
            ends = np.cumsum(np.bincount(bucket, minlength=len(counts)))
            grouped = batch.take(pa.array(np.argsort(bucket, kind="stable")))
            for writer, begin, end in zip(writers, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                if end > begin:
                    writer.write_batch(grouped.slice(begin, end - begin))
            counts += np.diff(ends, prepend=0)
    return [int(count) for count in counts]


def _sorted(table: pa.Table) -> pa.Table:
    order = pc.sort_indices(table, sort_keys=[(name, "ascending", "at_end") for name in ORDER])
    return table.drop_columns(ORDER).take(order)
