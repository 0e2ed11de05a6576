"""Scores of a split as two tables a label, each narrow enough for 80 columns."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from gmeta_worker.coordination.labels import by_label, titled
from gmeta_worker.coordination.messages import ClassRow, MetricRow

RANKING = {"AUC": "auc", "GAUC": "gauc", "nDCG@5": "ndcg_5", "nDCG@10": "ndcg_10"}
PROBABILITY = {"log loss": "loss", "calibration": "calibration", "ECE": "calibration_error"}
"""Columns, and the fields that they show."""


def score_table(title: str, scores: Sequence[MetricRow], classes: Sequence[ClassRow] = ()) -> Group:
    """Ranking and probabilities of each label: a line for each shot and mode, of all tasks, then of each class."""
    tables = []
    for label, rows in by_label(scores).items():
        by_class: dict[str, list[MetricRow]] = {"all": list(rows)}
        for row in by_label(classes).get(label, []):
            by_class.setdefault(row.task_class, []).append(row)
        tables.append(_table(f"{titled(title, label)}: ranking", by_class, RANKING))
        tables.append(_table(f"{titled(title, label)}: probabilities", by_class, PROBABILITY))
    return Group(*tables)


def _table(title: str, by_class: Mapping[str, Sequence[MetricRow]], measures: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("task rows")
    table.add_column("shot", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for column in (*measures, "tasks", "query rows"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, rows in by_class.items():
        for row in rows:
            quality = (f"{getattr(row, field):.4f}" for field in measures.values())
            mode = "adapted" if row.adapted else "un-adapted"
            table.add_row(name, str(row.shot), mode, *quality, f"{row.tasks:,}", f"{row.rows:,}")
        table.add_section()
    return table
