"""The tables that `gmeta run` and `gmeta evaluate` print."""

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


def printed(width: int, rows: list[MetricRow], classes: list[ClassRow]) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(score_table("test", rows, classes))
    return capture.get()


def test_every_measure_is_in_its_column_for_all_tasks_and_for_each_class() -> None:
    whole = MetricRow(shot=5, adapted=True, tasks=1234, rows=5678, **MEASURES)
    few = ClassRow(task_class="1-9", shot=1, adapted=False, tasks=3, rows=9, **MEASURES)
    many = ClassRow(task_class="100+", shot=10, adapted=False, tasks=4, rows=400, **MEASURES)
    lines = [line.split() for line in printed(150, [whole], [few, many]).splitlines() if line.strip(" ─")]
    assert lines == [
        ["test:", "ranking"],
        ["task", "rows", "shot", "model", "AUC", "GAUC", "nDCG@5", "nDCG@10", "tasks", "query", "rows"],
        ["all", "5", "adapted", "0.7100", "0.6200", "0.4600", "0.5700", "1,234", "5,678"],
        ["1-9", "1", "un-adapted", "0.7100", "0.6200", "0.4600", "0.5700", "3", "9"],
        ["100+", "10", "un-adapted", "0.7100", "0.6200", "0.4600", "0.5700", "4", "400"],
        ["test:", "probabilities"],
        ["task", "rows", "shot", "model", "log", "loss", "calibration", "ECE", "tasks", "query", "rows"],
        ["all", "5", "adapted", "0.5300", "0.9400", "0.0500", "1,234", "5,678"],
        ["1-9", "1", "un-adapted", "0.5300", "0.9400", "0.0500", "3", "9"],
        ["100+", "10", "un-adapted", "0.5300", "0.9400", "0.0500", "4", "400"],
    ]


def test_every_label_has_tables_of_its_own() -> None:
    rows = [MetricRow(label=label, shot=5, adapted=True, tasks=1, rows=2, **MEASURES) for label in ("order", "click")]
    classes = [ClassRow(task_class="1-9", **rows[1].model_dump())]
    lines = [" ".join(line.split()[:2]) for line in printed(100, rows, classes).splitlines() if line.strip(" ─")]
    assert [line for line in lines if line != "task rows"] == [
        *("test, order:", "all 5", "test, order:", "all 5"),
        *("test, click:", "all 5", "1-9 5", "test, click:", "all 5", "1-9 5"),
    ]


def test_no_number_is_cut_at_80_columns() -> None:
    row = MetricRow(shot=100, adapted=False, tasks=999_999, rows=99_999_999, **MEASURES)
    ranking, probabilities = (line.split() for line in printed(80, [row], []).splitlines() if "all" in line)
    assert ranking == ["all", "100", "un-adapted", "0.7100", "0.6200", "0.4600", "0.5700", "999,999", "99,999,999"]
    assert probabilities == ["all", "100", "un-adapted", "0.5300", "0.9400", "0.0500", "999,999", "99,999,999"]


def test_an_unknown_measure_is_no_number() -> None:
    assert (
        printed(80, [MetricRow(shot=5, adapted=True, auc=0.5, gauc=0.5, loss=0.5, tasks=1, rows=2)], []).count("nan")
        == 4
    )
