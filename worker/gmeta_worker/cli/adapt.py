"""`gmeta adapt`: an export adapts to new tasks."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from gmeta_api.errors import DataError
from gmeta_worker.serving import Adaptation
from gmeta_worker.serving.meta_embeddings import write_meta_embeddings

EPILOG = """\b
Examples:
  gmeta adapt exports/quickstart --support support.csv --query candidates.parquet --out scores.parquet
  gmeta adapt exports/limaml --support support.parquet --meta-embeddings --out embeddings.parquet
"""


@click.command(epilog=EPILOG)
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--support", type=click.Path(path_type=Path), required=True, help="Labelled rows of the tasks.")
@click.option("--query", type=click.Path(path_type=Path), help="Rows to score.")
@click.option("--meta-embeddings", is_flag=True, help="Write a vector for each task, in place of scores.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
def adapt(export: Path, support: Path, query: Path | None, meta_embeddings: bool, out: Path) -> None:
    """Adapt an EXPORT to new tasks and score their query rows, or write their meta embeddings.

    The files are CSV, TSV or Parquet with the task's columns and every raw column that a feature is made of, those of
    joined tables too. The support has the labels, under their names or as the columns of their rules.

    Scores: task, row (of the query file, from 0) and score, the probability of label 1; of several labels score_<label>
    each. Meta embeddings: task and embedding, the mean over the support rows of the adapted meta block (LiMAML) or the
    adapted context vector (CAVIA).
    """
    if meta_embeddings == (query is not None):
        raise click.UsageError("give --query FILE or --meta-embeddings, one of the two")
    adaptation = Adaptation(export)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if query is None:
            done = f"{write_meta_embeddings(adaptation, support, out):,} meta embeddings"
        else:
            done = f"{_write_scores(adaptation, support, query, out):,} scores"
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror}; check the folder and its free space") from error
    click.echo(f"{out}: {done}")


def score_columns(labels: Sequence[str]) -> list[str]:
    """The column of each label's scores."""
    return ["score"] if len(labels) == 1 else [f"score_{label}" for label in labels]


def _write_scores(adaptation: Adaptation, support: Path, query: Path, out: Path) -> int:
    rows, asked = adaptation.read(support, labelled=True), adaptation.read(query, labelled=False)
    scores = torch.from_numpy(adaptation.scores(rows, asked)).sigmoid().numpy()
    columns = dict(zip(score_columns(adaptation.labels), scores.T, strict=True))
    pq.write_table(pa.table({"task": asked.tasks, "row": np.arange(len(scores)), **columns}), out)
    return len(scores)
