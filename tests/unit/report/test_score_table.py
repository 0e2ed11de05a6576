"""The table that `gmeta run` and `gmeta evaluate` print."""

from rich.console import Console

from gmeta_worker.coordination.messages import ClassRow, MetricRow
from gmeta_worker.local.score_table import score_table

MEASURES = {
    "auc": 0.71,
    "gauc": 0.62,
    "loss": 0.53,
    "calibration": 0.94,
    "calibration_error": 0.05,
    "ndcg_5": 0.46,
    "ndcg_10": 0.57,
}


def lines(*rows: MetricRow) -> list[list[str]]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(score_table("test", [row for row in rows if not isinstance(row, ClassRow)], class_rows(rows)))
    cells = [line.replace("┃", "│").strip("│").split("│") for line in capture.get().splitlines()]
    return [[cell.strip() for cell in line] for line in cells if len(line) > 1]


def class_rows(rows: tuple[MetricRow, ...]) -> list[ClassRow]:
    return [row for row in rows if isinstance(row, ClassRow)]


def test_every_measure_is_in_its_column_for_all_tasks_and_for_each_class() -> None:
    whole = MetricRow(shot=5, adapted=True, tasks=1234, rows=5678, **MEASURES)
    header, everything, few, many = lines(
        ClassRow(task_class="1-9", shot=1, adapted=False, tasks=3, rows=9, **MEASURES),
        whole,
        ClassRow(task_class="100+", shot=1, adapted=False, tasks=4, rows=400, **MEASURES),
    )
    shown = dict(zip(header, everything, strict=True))
    assert shown == {
        "rows of a task": "all",
        "shot": "5",
        "model": "adapted",
        "AUC": "0.7100",
        "GAUC": "0.6200",
        "nDCG@5": "0.4600",
        "nDCG@10": "0.5700",
        "log loss": "0.5300",
        "calibration": "0.9400",
        "ECE": "0.0500",
        "tasks": "1,234",
        "query rows": "5,678",
    }
    assert few[:3] == ["1-9", "1", "un-adapted"]
    assert many[0] == "100+"


def test_an_unknown_measure_is_no_number() -> None:
    _, row = lines(MetricRow(shot=5, adapted=True, auc=0.5, gauc=0.5, loss=0.5, tasks=1, rows=2))
    assert row.count("nan") == 4
