"""Chunk files of a split: rows streamed out of the engine in file order, cut where the placement says."""

# ruff: noqa: S608 - see engine.py

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmeta_worker.metaio.card import ChunkCard, NumericCard, Schema, SplitCard
from gmeta_worker.metaio.chunk import chunk_schema, multi_column
from gmeta_worker.metaio.files import write_table
from gmeta_worker.metaio.prepare.buckets import in_file_order
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.placement import Placement
from gmeta_worker.metaio.prepare.statistics import transformed
from gmeta_worker.metaio.tasks import INDEX_SCHEMA, TaskIndex

BATCH_ROWS = 65_536
"""Rows whose lists are put in their place at once."""


def write_split(
    engine: Engine,
    schema: Schema,
    numeric: Mapping[str, NumericCard],
    split: str,
    placement: Placement,
    apart: Mapping[int, str],
    out: Path,
    advance: Callable[[int], None],
) -> SplitCard:
    """Write chunks and task index of a split and return its card; ``advance`` is told the rows as they are written.

    The lists of the multi-valued columns ``apart`` are in tables of their own.
    """
    index = placement.index
    counts = np.bincount(index.chunk)
    rows = np.bincount(index.chunk, weights=index.rows).astype(np.int64)
    stream = _rows_in_order(engine, split, _columns(schema, numeric), apart, placement.rows)
    chunks: list[ChunkCard] = []
    positives = np.zeros(len(schema.labels), np.int64)
    duplicates = 0
    for number, table in enumerate(_cut(stream, rows.tolist())):
        batch = encode_chunk(table, schema)
        file = write_table(out, f"{split}/chunk-{number:05d}.arrow", batch)
        chunks.append(ChunkCard(file, table.num_rows, int(counts[number])))
        positives += (_labels(batch) == 1).sum(axis=0)
        duplicates += int((np.diff(np.sort(table["row_hash"].to_numpy())) == 0).sum())
        advance(table.num_rows)
    return SplitCard(
        rows=placement.rows,
        tasks=len(index.rows),
        positives=dict(zip(schema.labels, positives.tolist(), strict=True)),
        single_class_tasks=placement.single_class_tasks,
        duplicate_rows=duplicates,
        task_rows=_quantiles(index.rows),
        chunks=tuple(chunks),
        index=write_table(out, f"{split}/tasks.arrow", _index_batch(index, placement.values)),
    )


def encode_chunk(table: pa.Table, schema: Schema) -> pa.RecordBatch:
    """Return the chunk of a table with the columns ``keys_i``, ``multi_i``, ``numeric_i`` and ``labels_i``, as many as
    the schema has of each."""
    target = chunk_schema(schema)
    lists = {multi_column(feature.name): f"multi_{number}" for number, feature in enumerate(schema.multi)}
    columns = [
        _typed(table[lists[field.name]], field.type) if field.name in lists else _stacked(table, field)
        for field in target
    ]
    return pa.record_batch(columns, schema=target)


def _rows_in_order(
    engine: Engine, split: str, columns: str, apart: Mapping[int, str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Stream a split in file order."""
    ((tasks,),) = engine.rows("tasks", f"SELECT count(position) FROM tasks WHERE split = '{split}'")
    what = f"split {split}"
    stream = engine.stream(what, f"SELECT position, rank, tie, {columns} FROM featured WHERE split = '{split}'")
    for table in in_file_order(stream, rows, range(tasks), engine.folder):
        lists = {
            f"multi_{number}": _lists(engine, what, name, table[f"multi_{number}"]) for number, name in apart.items()
        }
        for batch in table.to_batches(BATCH_ROWS):
            yield _with_lists(batch, lists)


def _lists(engine: Engine, what: str, table: str, numbers: pa.ChunkedArray) -> pa.Table:
    """Of a table of lists those with some numbers, ascending."""
    wanted = pa.table({"number": np.unique(numbers.to_numpy())})
    with engine.given("wanted", wanted):
        return engine.table(what, f"SELECT number, keys FROM {table} SEMI JOIN wanted USING (number) ORDER BY number")


def _with_lists(batch: pa.RecordBatch, lists: Mapping[str, pa.Table]) -> pa.RecordBatch:
    """The batch with lists in the place of their numbers."""
    for name, table in lists.items():
        places = np.searchsorted(table["number"].to_numpy(), batch[name].to_numpy())
        keys = _whole(table["keys"]).take(pa.array(places))
        batch = batch.set_column(batch.schema.get_field_index(name), name, keys)
    return batch


def _columns(schema: Schema, numeric: Mapping[str, NumericCard]) -> str:
    columns = {
        "keys": [f"categorical_{number}" for number in range(len(schema.categorical))],
        "multi": [f"multi_{number}" for number in range(len(schema.multi))],
        "numeric": [
            f"CAST({transformed(f'numeric_{number}', numeric[name])} AS FLOAT)"
            for number, name in enumerate(schema.numeric)
        ],
        "labels": [f"coalesce(CAST(label_{number} AS FLOAT), 'nan')" for number in range(len(schema.labels))],
    }
    named = (f"{sql} AS {kind}_{number}" for kind, group in columns.items() for number, sql in enumerate(group))
    return ", ".join([*named, "row_hash"])


def _cut(stream: Iterator[pa.RecordBatch], rows: list[int]) -> Iterator[pa.Table]:
    """Yield consecutive tables of the given numbers of rows."""
    parts: list[pa.RecordBatch] = []
    for wanted in rows:
        while sum(part.num_rows for part in parts) < wanted:
            parts.append(next(stream))
        table = pa.Table.from_batches(parts)
        parts = table.slice(wanted).to_batches()
        yield table.slice(0, wanted).combine_chunks()


def _stacked(table: pa.Table, field: pa.Field) -> pa.Array:
    """The columns ``name_i`` of a table, side by side in a list of fixed size."""
    columns = [_whole(table[f"{field.name}_{number}"]).to_numpy() for number in range(field.type.list_size)]
    return pa.FixedSizeListArray.from_arrays(pa.array(np.column_stack(columns).reshape(-1)), type=field.type)


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Rebuild a list column with the item name of ``kind``, which the engine does not set."""
    array = _whole(column)
    return pa.ListArray.from_arrays(array.offsets, array.values, type=kind)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    assert array.null_count == 0, "the rows' SQL leaves no null"
    return array


def _labels(batch: pa.RecordBatch) -> NDArray[np.float32]:
    labels: NDArray[np.float32] = batch["labels"].flatten().to_numpy()
    return labels.reshape(batch.num_rows, -1)


def _index_batch(index: TaskIndex, values: pa.Array) -> pa.RecordBatch:
    columns = [index.key, values, index.chunk, index.start, index.rows, index.ranked]
    return pa.record_batch([pa.array(column) for column in columns], schema=INDEX_SCHEMA)


def _quantiles(rows: NDArray[np.int64]) -> dict[str, int]:
    points = {"min": 0, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}
    values = np.percentile(rows, list(points.values()), method="lower")
    return {name: int(value) for name, value in zip(points, values, strict=True)}
