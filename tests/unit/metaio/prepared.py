"""Prepare small sources for tests, and read datasets back as plain rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmeta_api.load import validate
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio import Card, Dataset, EvaluationReader
from gmeta_worker.metaio.prepare import run

SPEC: Mapping[str, Any] = {
    "source": "ratings.csv",
    "task": ["user"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [{"name": "item", "type": "categorical", "columns": ["item"]}],
    "split": {"by": "task", "train": 1.0, "valid": 0.0, "test": 0.0},
}
RATINGS = "user,item,rating,time\n" + "".join(
    f"{user},{10 * user + place},{1 + (user + place) % 5},{100 - place}\n" for user in (1, 2, 3) for place in range(4)
)


@dataclass(frozen=True)
class ReadRow:
    """A row as the dataset has it."""

    task: int
    keys: tuple[int, ...]
    multi: tuple[tuple[int, ...], ...]
    numeric: tuple[float, ...]
    labels: tuple[float, ...]


def prepare(
    root: Path,
    files: Mapping[str, str | bytes],
    overwrite: bool = False,
    **changes: Any,
) -> Card:
    """Write source files to ``root`` and prepare ``root/dataset`` from them, by ``SPEC`` with some fields changed."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    spec = validate(PrepareSpec, {**SPEC, **changes})
    return run(spec, root, root / "dataset", overwrite=overwrite)


def read_split(root: Path, split: str) -> list[list[ReadRow]]:
    """Read the tasks of a split in file order."""
    tasks = []
    for batch in EvaluationReader(Dataset.open(root / "dataset").split(split), tasks_per_step=1).batches(0):
        (task,) = batch.task_keys.tolist()
        tasks.append(
            [
                ReadRow(
                    task,
                    tuple(batch.keys[row].tolist()),
                    tuple(
                        tuple(each.values[each.offsets[row] : each.offsets[row + 1]].tolist()) for each in batch.multi
                    ),
                    tuple(batch.numeric[row].tolist()),
                    tuple(batch.labels[row].tolist()),
                )
                for row in range(batch.rows)
            ]
        )
    return tasks


def ranked_rows(root: Path, split: str) -> list[int]:
    """Ranked rows of each task of a split, in file order."""
    ranked: list[int] = Dataset.open(root / "dataset").split(split).tasks.ranked.tolist()
    return ranked


def text_of(rows: Sequence[Sequence[object]], header: str) -> str:
    """A CSV file; None is an empty field."""
    return header + "\n" + "".join(",".join("" if v is None else str(v) for v in row) + "\n" for row in rows)
