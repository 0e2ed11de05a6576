"""Scores of a split as a table."""

from collections.abc import Sequence

from rich.table import Table

from gmeta_worker.coordination.messages import ClassRow, MetricRow

MEASURES = {
    "AUC": "auc",
    "GAUC": "gauc",
    "nDCG@5": "ndcg_5",
    "nDCG@10": "ndcg_10",
    "log loss": "loss",
    "calibration": "calibration",
    "ECE": "calibration_error",
}
"""Columns, and the fields that they show."""


def score_table(title: str, scores: Sequence[MetricRow], classes: Sequence[ClassRow] = ()) -> Table:
    """A line for each shot and mode, of all tasks, then of each class of tasks."""
    table = Table(title=title)
    table.add_column("rows of a task")
    table.add_column("shot", justify="right")
    table.add_column("model")
    for column in (*MEASURES, "tasks", "query rows"):
        table.add_column(column, justify="right")
    for score in scores:
        table.add_row("all", *_cells(score))
    by_name = {row.task_class: [each for each in classes if each.task_class == row.task_class] for row in classes}
    for name, rows in by_name.items():
        table.add_section()
        for row in rows:
            table.add_row(name, *_cells(row))
    return table


def _cells(score: MetricRow) -> list[str]:
    quality = (f"{getattr(score, field):.4f}" for field in MEASURES.values())
    mode = "adapted" if score.adapted else "un-adapted"
    return [str(score.shot), mode, *quality, f"{score.tasks:,}", f"{score.rows:,}"]
