"""The columns of a chunk file: its Arrow schema, and its decoding into numpy views."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmeta_worker.metaio.batch import Ragged
from gmeta_worker.metaio.card import Schema

Number = TypeVar("Number", np.int64, np.float32)


@dataclass(frozen=True)
class RaggedColumn:
    """A multi-valued feature as the file has it: int32[N + 1] offsets and int64[M] keys."""

    offsets: NDArray[np.int32]
    values: NDArray[np.int64]

    def slice(self, lo: int, hi: int) -> Ragged:
        """Return rows lo..hi; their values are a view."""
        first, last = int(self.offsets[lo]), int(self.offsets[hi])
        return Ragged(self.offsets[lo : hi + 1].astype(np.int64) - first, self.values[first:last])


@dataclass(frozen=True)
class Chunk:
    """A chunk of N rows; the arrays are views of the file's bytes.

    Attributes:
        keys: int64[N, C].
        multi: One for each multi-valued feature.
        numeric: float32[N, D].
        labels: float32[N, L]; NaN where a row lacks a label.
    """

    keys: NDArray[np.int64]
    multi: tuple[RaggedColumn, ...]
    numeric: NDArray[np.float32]
    labels: NDArray[np.float32]


def chunk_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow columns of a chunk: a group of width 0 has no column."""
    fields = [
        ("keys", pa.int64(), len(schema.categorical)),
        ("numeric", pa.float32(), len(schema.numeric)),
        ("labels", pa.float32(), len(schema.labels)),
    ]
    fixed = [pa.field(name, pa.list_(pa.field("item", of), width)) for name, of, width in fields if width]
    multi = [pa.field(multi_column(feature.name), pa.list_(pa.field("item", pa.int64()))) for feature in schema.multi]
    return pa.schema(fixed + multi)


def multi_column(feature: str) -> str:
    """Name the chunk column of a multi-valued feature."""
    return f"multi:{feature}"


def decode_chunk(batch: pa.RecordBatch, schema: Schema) -> Chunk:
    """Return numpy views of a record batch with the columns of ``chunk_schema(schema)``."""
    return Chunk(
        keys=_fixed(batch, "keys", len(schema.categorical), np.int64),
        multi=tuple(_ragged(batch, multi_column(feature.name)) for feature in schema.multi),
        numeric=_fixed(batch, "numeric", len(schema.numeric), np.float32),
        labels=_fixed(batch, "labels", len(schema.labels), np.float32),
    )


def _fixed(batch: pa.RecordBatch, name: str, width: int, dtype: type[Number]) -> NDArray[Number]:
    if width == 0:
        return np.empty((batch.num_rows, 0), dtype)
    values: NDArray[Number] = batch.column(name).values.to_numpy(zero_copy_only=True)
    return values.reshape(batch.num_rows, width)


def _ragged(batch: pa.RecordBatch, name: str) -> RaggedColumn:
    column = batch.column(name)
    return RaggedColumn(column.offsets.to_numpy(zero_copy_only=True), column.values.to_numpy(zero_copy_only=True))
