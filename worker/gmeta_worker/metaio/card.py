"""The dataset card: what a Meta-IO dataset holds and how it was made; written last, it makes a dataset complete."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gmeta_api.errors import DataError

CARD_NAME = "card.json"
FORMAT = 1
REMEDY = "restore the file or run `gmeta prepare --overwrite`"


@dataclass(frozen=True)
class Feature:
    """A categorical or multi-valued feature; features with the same vocabulary share embedding rows."""

    name: str
    vocabulary: str


@dataclass(frozen=True)
class Schema:
    """The columns of every chunk, in order."""

    categorical: tuple[Feature, ...]
    multi: tuple[Feature, ...]
    numeric: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class FileCard:
    """A file of the dataset: path relative to its root, size in bytes, xxh3_64 of its content in hexadecimal."""

    path: str
    bytes: int
    xxh3: str


@dataclass(frozen=True)
class ChunkCard:
    """A chunk of a split and the tasks and rows in it."""

    file: FileCard
    rows: int
    tasks: int


@dataclass(frozen=True)
class SplitCard:
    """A split.

    Attributes:
        rows: Rows in all chunks.
        tasks: Tasks in the index; a task longer than ``taskRows.max`` counts once for each of its pieces.
        positives: Rows with label 1, by label.
        single_class_tasks: Tasks whose first label is the same in every row: trained on, skipped by GAUC.
        duplicate_rows: Rows equal to an earlier row of their task in every column that was used; they are kept.
        task_rows: Quantiles of the rows of a task: min, p25, p50, p75, p95, max.
        chunks: The chunks in file order.
        index: The task index file.
    """

    rows: int
    tasks: int
    positives: Mapping[str, int]
    single_class_tasks: int
    duplicate_rows: int
    task_rows: Mapping[str, int]
    chunks: tuple[ChunkCard, ...]
    index: FileCard

    @property
    def bytes(self) -> int:
        """Size of chunks and index on disk."""
        return self.index.bytes + sum(chunk.file.bytes for chunk in self.chunks)


@dataclass(frozen=True)
class VocabularyCard:
    """Distinct keys of a vocabulary in the train split, and the file of keys and counts."""

    size: int
    file: FileCard


@dataclass(frozen=True)
class NumericCard:
    """How a numeric feature was transformed: (t(x) - mean) / std; a missing value became the train mean.

    ``mean`` and ``std`` are those of t(x) over the train split. They are applied only by ``standardize``.
    """

    transform: str
    mean: float
    std: float
    missing: int


@dataclass(frozen=True)
class PriorCard:
    """How a rate or count feature was computed, and the file of what all train tasks together say of each key.

    Attributes:
        type: rate or count.
        label: Label whose positives are counted.
        folds: Folds of the train tasks; a train row got the statistic of the other folds.
        shrinkage: Of a rate: rows with the rate of all rows that were added to each key.
        keys: Distinct values in the train split.
        rows: Train rows.
        positives: Train rows whose label is 1; ``positives / rows`` is the rate of all rows.
        file: Keys, their rows and positives, and the feature's value for a row of a new task.
    """

    type: str
    label: str
    folds: int
    shrinkage: float | None
    keys: int
    rows: int
    positives: int
    file: FileCard


@dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from.

    Attributes:
        digest: Digest of the prepare spec and of the source files' sizes and modification times.
        spec: The prepare spec as it stood in the manifest.
        sources: Source files, relative to the volume.
        rows: Rows read from the source.
    """

    digest: str
    spec: Mapping[str, Any]
    sources: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Card:
    """A dataset.

    Attributes:
        format: Version of the file format.
        schema: Columns.
        splits: By name: train, valid, test.
        vocabularies: By name.
        numeric: Statistics by numeric column.
        priors: By rate or count feature, which is one of the numeric columns.
        left_out: Source rows that are in no split, by reason.
        unmatched: Source rows without a partner, by join source; their joined columns are missing values.
        provenance: Source and spec.
    """

    format: int
    schema: Schema
    splits: Mapping[str, SplitCard]
    vocabularies: Mapping[str, VocabularyCard]
    numeric: Mapping[str, NumericCard]
    left_out: Mapping[str, int]
    unmatched: Mapping[str, int]
    provenance: Provenance
    priors: Mapping[str, PriorCard] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the content of ``card.json``."""
        return _ADAPTER.dump_json(self, indent=1) + b"\n"


_ADAPTER = TypeAdapter(Card)


def read_card(root: Path) -> Card:
    """Read the card of the dataset at ``root``.

    Raises:
        DataError: No dataset there, or a card that cannot be read.
    """
    path = root / CARD_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{root}: not a Meta-IO dataset ({CARD_NAME} is missing); run `gmeta prepare`") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the path and its permissions") from None
    return _parse(path, content)


def _parse(path: Path, content: bytes) -> Card:
    try:
        card = _ADAPTER.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: damaged card: {f'{where}: ' if where else ''}{first['msg']}; {REMEDY}") from None
    if card.format != FORMAT:
        raise DataError(f"{path}: expected format {FORMAT}, found {card.format}; use the G-Meta version that wrote it")
    return card
