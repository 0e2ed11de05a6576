"""A Meta-IO dataset on disk and its splits."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmeta_api.errors import DataError
from gmeta_worker.metaio.card import REMEDY, Card, FileCard, Schema, SplitCard, read_card
from gmeta_worker.metaio.chunk import Chunk, chunk_schema, decode_chunk
from gmeta_worker.metaio.files import open_table, read_ahead, read_file
from gmeta_worker.metaio.prior import PRIOR_SCHEMA, Prior, decode_prior
from gmeta_worker.metaio.tasks import INDEX_SCHEMA, TaskIndex, decode_index

MAX_MAPPED = 16_384
"""Chunks of a split that stay mapped: Linux allows a process 65,530 mappings."""

VOCABULARY_SCHEMA = pa.schema([("key", pa.int64()), ("count", pa.int64())])


@dataclass(frozen=True)
class Dataset:
    """A dataset directory; nothing but the card is read until it is asked for."""

    path: Path
    card: Card

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open the dataset at ``path``.

        Raises:
            DataError: No complete dataset there, or a damaged card.
        """
        return cls(path, read_card(path))

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.card.schema

    def split(self, name: str) -> "Split":
        """Return a split.

        Raises:
            DataError: The dataset has no such split, or its task index is damaged.
        """
        if name not in self.card.splits:
            raise DataError(f"{self.path}: no split {name!r}; the dataset has {', '.join(self.card.splits)}")
        return Split(self.path, name, self.card.splits[name], self.schema)

    def vocabulary(self, name: str) -> NDArray[np.int64]:
        """Return the distinct keys of a vocabulary in the train split, ascending.

        Raises:
            DataError: The dataset has no such vocabulary, or its file is damaged.
        """
        return self._vocabulary(name, "key")

    def occurrences(self, name: str) -> NDArray[np.int64]:
        """Return how often each key of a vocabulary occurs in the train split, in the order of ``vocabulary``.

        Raises:
            DataError: As ``vocabulary``.
        """
        return self._vocabulary(name, "count")

    def prior(self, name: str) -> Prior:
        """Return what the train split says of each value of a rate or count feature's column.

        Raises:
            DataError: The dataset has no such feature, or its file is damaged.
        """
        if name not in self.card.priors:
            raise DataError(f"{self.path}: no prior {name!r}; the dataset has {', '.join(self.card.priors) or 'none'}")
        return decode_prior(self._table(self.card.priors[name].file, f"prior {name}", PRIOR_SCHEMA))

    def _vocabulary(self, name: str, column: str) -> NDArray[np.int64]:
        if name not in self.card.vocabularies:
            raise DataError(f"{self.path}: no vocabulary {name!r}; the dataset has {', '.join(self.card.vocabularies)}")
        batch = self._table(self.card.vocabularies[name].file, f"vocabulary {name}", VOCABULARY_SCHEMA)
        values: NDArray[np.int64] = batch.column(column).to_numpy(zero_copy_only=True)
        return values

    def _table(self, card: FileCard, where: str, schema: pa.Schema) -> pa.RecordBatch:
        return open_table(self.path, card, where, read_file(self.path, card, where), schema)


@dataclass(frozen=True)
class Split:
    """A split of a dataset: its task index, and its chunks on demand."""

    root: Path
    name: str
    card: SplitCard
    schema: Schema
    _verified: set[int] = field(default_factory=set, repr=False, compare=False)
    _mapped: dict[int, Chunk] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def tasks(self) -> TaskIndex:
        """The task index, read at first use.

        Raises:
            DataError: Damaged index, or one that does not fit the chunks.
        """
        where = f"split {self.name}, task index"
        buffer = read_file(self.root, self.card.index, where)
        index = decode_index(open_table(self.root, self.card.index, where, buffer, INDEX_SCHEMA))
        self._check_fit(index)
        return index

    @cached_property
    def row_offsets(self) -> NDArray[np.int64]:
        """Rows before each chunk in the split's file order: int64[chunks + 1]."""
        return np.cumsum([0, *(chunk.rows for chunk in self.card.chunks)], dtype=np.int64)

    def read_chunk(self, number: int, *, whole: bool = True) -> Chunk:
        """Read a chunk, once and forward; or only open it, if it is not read whole here (see ``Share``).

        Its first whole read by this object compares the checksum. The chunk then stays mapped, which costs no memory of
        its own; a later read only has the system fetch what it has dropped from its cache.

        Raises:
            DataError: Damaged chunk.
        """
        if number in self._mapped:
            if whole:
                read_ahead(self.root, self.card.chunks[number].file)
            return self._mapped[number]
        chunk = self._read_chunk(number, whole=whole)
        if whole:
            self._verified.add(number)
        if len(self._mapped) < MAX_MAPPED:
            self._mapped[number] = chunk
        return chunk

    def _read_chunk(self, number: int, *, whole: bool) -> Chunk:
        card, where = self.card.chunks[number], f"split {self.name}, chunk {number}"
        verify = whole and number not in self._verified
        buffer = read_file(self.root, card.file, where, verify=verify, ahead=whole)
        batch = open_table(self.root, card.file, where, buffer, chunk_schema(self.schema))
        if batch.num_rows != card.rows:
            raise DataError(f"{self.root}: {where}: expected {card.rows} rows, found {batch.num_rows}; {REMEDY}")
        return decode_chunk(batch, self.schema)

    def _check_fit(self, index: TaskIndex) -> None:
        rows = np.bincount(index.chunk, weights=index.rows, minlength=len(self.card.chunks)).astype(np.int64)
        expected = np.diff(self.row_offsets)
        if not np.array_equal(rows, expected):
            raise DataError(
                f"{self.root}: split {self.name}, task index ({self.card.index.path}): its tasks have {rows.sum()} "
                f"rows in {len(rows)} chunks, the card says {expected.sum()} in {len(expected)}; {REMEDY}"
            )
