"""Scores of a split as a table."""

from collections.abc import Sequence

from rich.table import Table

from gmeta_worker.coordination.messages import MetricRow


def score_table(title: str, scores: Sequence[MetricRow]) -> Table:
    """A line for each shot and mode."""
    table = Table(title=title)
    for column in ("shot", "model", "AUC", "GAUC", "log loss", "tasks", "query rows"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for score in scores:
        mode = "adapted" if score.adapted else "un-adapted"
        quality = (f"{value:.4f}" for value in (score.auc, score.gauc, score.loss))
        table.add_row(str(score.shot), mode, *quality, f"{score.tasks:,}", f"{score.rows:,}")
    return table
