"""Embedding rows as Parquet: a file a vocabulary, ascending by key, written and read in groups.

The first row of an exact vocabulary has no key: it is what an unknown key gets. The keys of a hash vocabulary are the
numbers of its rows.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import LoadedCommit
from gmeta_worker.embedding import BlockLayout

Ints = NDArray[np.int64]
Rows = NDArray[np.float32]

FOLDER = "rows"
GROUP_ROWS = 65_536


def write_rows(loaded: LoadedCommit, folder: Path) -> None:
    """Write every table of a commit to `folder`/rows.

    The blocks of a commit hold the rows of all tables in no order of keys. They are put in order in files beside the
    output, which the system may drop from memory at any time, so memory is that of one file of the commit.

    Raises:
        CheckpointError: a file of the commit is damaged.
    """
    layout = loaded.manifest.layout
    (folder / FOLDER).mkdir()
    with TemporaryDirectory(dir=folder) as scratch:
        tables = {name: table.rows for name, table in layout.tables.items()}
        ordered = _in_order(loaded, BlockLayout(tables), layout.dim, Path(scratch))
        for name, rows in ordered.items():
            keys = loaded.vocabularies.get(name) if layout.tables[name].vocabulary == "exact" else None
            _write_table(folder / FOLDER / f"{name}.parquet", rows, keys)


def read_unknown(path: Path) -> Rows:
    """The row of unknown keys, [1, dim]: the first one of an exact vocabulary."""
    return _rows_of(pq.ParquetFile(path).read_row_group(0).slice(0, 1))


def read_rows(path: Path, keys: Ints) -> tuple[Ints, Rows]:
    """Look up rows; only the groups that may hold one are read.

    Args:
        path: of the file.
        keys: int64[n], ascending and unique.

    Returns:
        The keys that the file has, and their rows [found, dim].

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        file = pq.ParquetFile(path)
        wanted = (_wanted(file.metadata.row_group(number), keys) for number in range(file.num_row_groups))
        found = [_found(file, number, part) for number, part in enumerate(wanted) if len(part)]
        dim = file.schema_arrow.field("row").type.list_size
    except (pa.ArrowException, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({str(error).splitlines()[0]}); export again") from error
    none = (np.zeros(0, np.int64), np.zeros((0, dim), np.float32))
    return tuple(np.concatenate(parts) for parts in zip(none, *found, strict=True))  # type: ignore[return-value]


def _in_order(loaded: LoadedCommit, layout: BlockLayout, dim: int, scratch: Path) -> Mapping[str, Rows]:
    ordered = {
        name: np.memmap(scratch / f"{number}.rows", np.float32, "w+", shape=(rows, dim))
        for number, (name, rows) in enumerate(layout.tables.items())
    }
    for lo, hi, tensors in loaded.row_groups():
        weights = tensors["weights"].numpy()
        table, row = layout.located(np.arange(lo * layout.pages, hi * layout.pages))
        for number, rows in enumerate(ordered.values()):
            own = table == number
            rows[row[own]] = weights[own]
    return ordered


def _write_table(path: Path, rows: Rows, keys: Ints | None) -> None:
    """Write rows under the keys of an exact vocabulary, or under their numbers."""
    kind = pa.list_(pa.float32(), rows.shape[1])
    schema = pa.schema([("key", pa.int64()), ("row", kind)])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, len(rows), GROUP_ROWS):
            part = np.ascontiguousarray(rows[start : start + GROUP_ROWS])
            values = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), type=kind)
            writer.write_table(pa.table([_keys(keys, start, len(part)), values], schema=schema))


def _keys(keys: Ints | None, start: int, count: int) -> pa.Array:
    numbers = np.arange(start, start + count)
    if keys is None:
        return pa.array(numbers)
    return pa.array(np.append(keys, 0)[numbers - 1], mask=numbers == 0)


def _wanted(group: pq.RowGroupMetaData, keys: Ints) -> Ints:
    """The keys that may be in a group."""
    statistics = group.column(0).statistics
    if not statistics.has_min_max:
        return keys[:0]
    lo, hi = np.searchsorted(keys, statistics.min), np.searchsorted(keys, statistics.max, side="right")
    return keys[lo:hi]


def _found(file: pq.ParquetFile, number: int, keys: Ints) -> tuple[Ints, Rows]:
    table = file.read_row_group(number)
    first = table.column("key").null_count
    own = table.column("key").slice(first).to_numpy()
    _, _, places = np.intersect1d(keys, own, assume_unique=True, return_indices=True)
    return own[places], _rows_of(table.slice(first))[places]


def _rows_of(table: pa.Table) -> Rows:
    column = table.column("row").combine_chunks()
    rows: Rows = column.flatten().to_numpy().reshape(len(column), -1)
    return rows
