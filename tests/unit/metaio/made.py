"""Small datasets written by hand: the content of a row says which row and task it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gmeta_worker.metaio.card import (
    CARD_NAME,
    FORMAT,
    Card,
    ChunkCard,
    Feature,
    NumericCard,
    Provenance,
    Schema,
    SplitCard,
    VocabularyCard,
)
from gmeta_worker.metaio.chunk import chunk_schema
from gmeta_worker.metaio.dataset import VOCABULARY_SCHEMA, Dataset
from gmeta_worker.metaio.files import write_table
from gmeta_worker.metaio.tasks import INDEX_SCHEMA

SCHEMA = Schema(
    categorical=(Feature("row", "row"), Feature("task", "task")),
    multi=(Feature("copies", "row"),),
    numeric=("number",),
    labels=("odd", "zero"),
)


@dataclass(frozen=True)
class Task:
    """A task of the index."""

    rows: int
    ranked: int


def write_dataset(root: Path, chunks: Sequence[Sequence[Task]]) -> Dataset:
    """Write a dataset with one split, ``train``, whose chunks hold these tasks."""
    split = _write_split(root, chunks)
    keys = np.arange(split.rows, dtype=np.int64)
    vocabulary = pa.record_batch([pa.array(keys), pa.array(np.ones_like(keys))], schema=VOCABULARY_SCHEMA)
    card = Card(
        format=FORMAT,
        schema=SCHEMA,
        splits={"train": split},
        vocabularies={"row": VocabularyCard(len(keys), write_table(root, "vocabulary/row.arrow", vocabulary))},
        numeric={"number": NumericCard("none", 0.0, 1.0, 0)},
        left_out={},
        unmatched={},
        provenance=Provenance("", {}, (), split.rows),
    )
    (root / CARD_NAME).write_bytes(card.to_json())
    return Dataset.open(root)


def row_content(row: int, task: int) -> dict[str, list[float]]:
    """What row ``row`` of the split holds, column by column."""
    return {
        "keys": [row, task],
        "numeric": [row / 2],
        "labels": [row % 2, 0],
        "multi:copies": [row] * (row % 3),
    }


def _write_split(root: Path, chunks: Sequence[Sequence[Task]]) -> SplitCard:
    cards: list[ChunkCard] = []
    index: list[tuple[object, ...]] = []
    row = 0
    for number, tasks in enumerate(chunks):
        contents: list[dict[str, list[float]]] = []
        start = 0
        for task in tasks:
            key = 1000 + len(index)
            index.append((key, f"task {key}", number, start, task.rows, task.ranked))
            contents += [row_content(row + offset, key) for offset in range(task.rows)]
            start, row = start + task.rows, row + task.rows
        schema = chunk_schema(SCHEMA)
        batch = pa.record_batch([pa.array([c[f.name] for c in contents], f.type) for f in schema], schema=schema)
        cards.append(ChunkCard(write_table(root, f"train/chunk-{number:05d}.arrow", batch), start, len(tasks)))
    columns = [
        pa.array(list(column), field.type) for column, field in zip(zip(*index, strict=True), INDEX_SCHEMA, strict=True)
    ]
    return SplitCard(
        rows=row,
        tasks=len(index),
        positives={"odd": row // 2, "zero": 0},
        single_class_tasks=0,
        duplicate_rows=0,
        task_rows={"min": 1, "max": 1},
        chunks=tuple(cards),
        index=write_table(root, "train/tasks.arrow", pa.record_batch(columns, schema=INDEX_SCHEMA)),
    )
