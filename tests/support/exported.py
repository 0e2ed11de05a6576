"""A small trained run with every kind of input, on disk as a worker leaves it, and its rows as they were before."""

import csv
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gmeta_api.document import JobIdentity
from gmeta_api.load import validate
from gmeta_api.spec import PrepareSpec, Spec
from gmeta_worker.checkpoint import CommitManifest, CommitWriter, Ledger, Score, publish
from gmeta_worker.embedding import BLOCKS
from gmeta_worker.metaio import Dataset, EvaluationReader
from gmeta_worker.metaio.prepare import run as prepare
from gmeta_worker.training.commits import layout_of, take_snapshot
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.run import build_parts, dataset_keys

SHOT = 3
COLUMNS = ("user", "place", "movie", "city", "genres", "age", "income", "rating", "part")
CITIES = ("Oslo", "Århus", "", "New York", "007", "12")
PREPARE: Mapping[str, Any] = {
    "source": "ratings.csv",
    "task": ["user"],
    "labels": [{"name": "click", "rule": "rating >= 4"}],
    "features": [
        {"name": "movie", "type": "categorical", "columns": ["movie"]},
        {"name": "city", "type": "categorical", "columns": ["city"]},
        {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
        {"name": "seen", "type": "multi", "columns": ["movie", "age"], "vocabulary": "movie"},
        {"name": "age", "type": "numeric", "columns": ["age"], "transform": "standardize"},
        {"name": "income", "type": "numeric", "columns": ["income"], "transform": "log1p"},
        {"name": "movie_rate", "type": "rate", "columns": ["movie"]},
        {"name": "movie_count", "type": "count", "columns": ["movie"], "transform": "standardize"},
    ],
    "supportOrder": {"by": "column", "column": "place"},
    "split": {"by": "column", "column": "part"},
}
SPEC: Mapping[str, Any] = {
    "volumes": [{"name": "data", "emptyDir": {}}],
    "data": {"volume": "data", "path": "set"},
    "checkpoint": {"volume": "data", "path": "run"},
    "model": {
        "type": "DeepFM",
        "embeddingDim": 4,
        "top": [8],
        "adaptive": {"bias": True, "context": True, "wide": 3},
        "dropout": 0.2,
        "vocabularies": [{"name": "genres", "type": "hash", "rows": 7}],
    },
    "meta": {
        "algorithm": "MAML",
        "inner": {"steps": 3, "rate": 0.4, "shrinkage": 1.5, "learned": True},
        "adapt": {"dense": ["*"], "rows": ["*"]},
    },
}


@dataclass(frozen=True)
class Trained:
    """A run, its dataset, and what it was made of.

    Attributes:
        folder: holds `run` and `dataset`.
        parts: with the weights that were committed.
        rows: the source's rows.
    """

    folder: Path
    parts: Components
    rows: list[dict[str, str]]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def dataset(self) -> Dataset:
        return Dataset.open(self.folder / "dataset")

    def tasks(self) -> Iterator[tuple[list[dict[str, str]], list[dict[str, str]]]]:
        """Support and query rows of the test tasks, as the dataset has them in its order."""
        values = self.dataset.split("test").tasks.key.tolist()
        for value in values:
            own = [row for row in self.rows if row["user"] == str(value)]
            own.sort(key=lambda row: int(row["place"]))
            yield own[:SHOT], own[SHOT:]

    def evaluated(self, *, adapted: bool) -> np.ndarray:
        """Logits of the test tasks' query rows, as `gmeta evaluate` computes them: [n] or [n, L]."""
        self.parts.model.eval()
        logits = []
        for batch in EvaluationReader(self.dataset.split("test"), tasks_per_step=4).batches(SHOT):
            inputs = self.parts.assembler(batch)
            rows = self.parts.exchange.route(inputs.ids).fetch(self.parts.store.lookup)
            logits.append(self.parts.algorithm.scores(self.parts.model, rows, inputs.samples, adapted=adapted))
        return torch.cat(logits).squeeze(1).numpy()


def train(folder: Path, **changes: Mapping[str, Any]) -> Trained:
    """Prepare a dataset and commit weights that training might have found: random ones, none of them zero."""
    rows = _write_ratings(folder)
    prepare(validate(PrepareSpec, {**PREPARE, **changes.pop("prepare", {})}), folder, folder / "dataset")
    spec = Spec.model_validate({**SPEC, **{key: {**SPEC.get(key, {}), **value} for key, value in changes.items()}})
    dataset = Dataset.open(folder / "dataset")
    parts = build_parts(spec, dataset, dataset_keys(dataset))
    _stir(parts)
    _commit(folder / "run", spec, parts)
    return Trained(folder, parts, rows)


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_ratings(folder: Path) -> list[dict[str, str]]:
    """Movies 30 to 39 are those of test users only: keys that training does not know."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(7)
    rows = []
    for user in range(40):
        part = ("train", "train", "valid", "test")[user % 4]
        for place in range(8):
            values = (
                user,
                place,
                draw.randrange(40 if part == "test" else 30),
                draw.choice(CITIES),
                "|".join(draw.choices("abcdefgh", k=draw.randrange(4))),
                draw.choice(("", 18, 25, 40)),
                draw.choice(("", "0", "12.5", "1e3")),
                draw.randrange(1, 6),
                part,
            )
            rows.append(dict(zip(COLUMNS, map(str, values), strict=True)))
    write_rows(folder / "ratings.csv", rows)
    return rows


def _stir(parts: Components) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in parts.model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    tensors = parts.store.export_blocks(0, BLOCKS)
    tensors["weights"] = 0.5 * torch.randn(tensors["weights"].shape, generator=generator)
    parts.store.import_blocks(0, BLOCKS, tensors)


def _commit(run: Path, spec: Spec, parts: Components) -> None:
    layout = layout_of(parts, spec.model.embedding_dim)
    snapshot = take_snapshot(parts, DenseOptimizer(spec.optimizer.dense, parts.model))
    files = snapshot.write(CommitWriter(run, 0, 1, layout, parts.store.blocks()), 20)
    snapshot.rows.close()
    manifest = CommitManifest(
        job=JobIdentity(name="small", namespace="default"),
        attempt=0,
        generation=1,
        step=20,
        ledger=Ledger(global_step=20),
        layout=layout,
        spec=spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        files=tuple(files),
        evaluation=Score(metric="auc", value=0.7),
    )
    publish(run, manifest)
