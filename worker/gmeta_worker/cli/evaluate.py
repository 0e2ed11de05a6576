"""`gmeta evaluate`: a commit on a split."""

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import delivered, load_commit
from gmeta_worker.coordination.messages import ClassRow, MetricRow
from gmeta_worker.local.score_table import score_table
from gmeta_worker.metaio import Dataset
from gmeta_worker.training.commits import restore_weights
from gmeta_worker.training.evaluator import Evaluator
from gmeta_worker.training.run import build_parts, dataset_keys


class Shots(click.ParamType[tuple[int, ...]]):
    """Support sizes separated by commas."""

    name = "shots"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """`1,5,10` -> (1, 5, 10)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() for part in parts):
            self.fail(f"expected whole numbers separated by commas, such as 1,5,30; received '{value}'", param, ctx)
        return tuple(int(part) for part in parts)


@click.command(
    epilog="Example:  gmeta evaluate runs/quickstart --dataset volumes/data/ml-100k --split test --shots 1,5,30"
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="Folder of the Meta-IO dataset.")
@click.option("--split", type=click.Choice(["train", "valid", "test"]), default="test", show_default=True)
@click.option("--shots", type=Shots(), default="1,5,10,30", show_default=True, help="Support sizes to score at.")
@click.option("--inner-steps", type=click.IntRange(1, 64), help="Inner steps, in place of the job's.")
@click.option("--inner-rate", type=click.FloatRange(min=0, min_open=True), help="Inner rate, in place of the job's.")
def evaluate(
    run: Path, dataset: Path, split: str, shots: tuple[int, ...], inner_steps: int | None, inner_rate: float | None
) -> None:
    """Score a commit on a split, by shot, un-adapted and adapted, of all tasks and by how many rows a task has.

    RUN is a run folder (then its best commit by the watched metric, else its newest one) or a commit's own folder.
    """
    console = Console()
    commit = delivered(run)
    console.print(f"commit {commit.folder}: step {commit.manifest.step}", highlight=False, soft_wrap=True)
    spec = with_inner(Spec.model_validate(commit.manifest.spec), inner_steps, inner_rate)
    data = Dataset.open(dataset)
    loaded = load_commit(commit)
    parts = build_parts(spec, data, dataset_keys(data) | loaded.vocabularies)
    restore_weights(loaded, parts)
    with console.status(f"scoring {split} …"):
        scores = Evaluator(parts)(data.split(split), shots)
    rows = [MetricRow(**asdict(score)) for score in scores.whole]
    classes = [ClassRow(task_class=name, **asdict(score)) for name, score in scores.by_class]
    console.print(score_table(split, rows, classes))


def with_inner(spec: Spec, steps: int | None, rate: float | None) -> Spec:
    """`spec` with the evaluation's inner loop changed where asked."""
    inner = spec.meta.eval_inner or spec.meta.inner
    changed = inner.model_copy(update={"steps": steps or inner.steps, "rate": rate or inner.rate})
    return spec.model_copy(update={"meta": spec.meta.model_copy(update={"eval_inner": changed})})
