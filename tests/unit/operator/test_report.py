"""What the operator makes of the coordinator's status document."""

import json
from typing import Any

import pytest

from gmeta_api.status import LARGEST
from gmeta_operator.report import progress_status, read_report

PROGRESS = {"epoch": 1, "total_steps": 200, "samples": 9, "samples_per_second": 1.0, "tasks_per_second": 1.0}


def progress_at(step: int, commit: int | None) -> dict[str, Any] | None:
    """`status.progress` after a report of progress and a commit."""
    made = {"attempt": 0, "step": commit, "path": f"a0/s{commit}"} if commit is not None else None
    report = read_report(json.dumps({"attempt": 0, "progress": {**PROGRESS, "step": step}, "commit": made}))
    assert report is not None
    return progress_status(report)


def test_steps_that_are_done_are_those_of_the_newest_commit_where_it_is_ahead() -> None:
    found = [progress_at(step, commit) for step, commit in ((50, None), (50, 40), (50, 100))]
    assert [(each["step"], each["percent"]) for each in found if each] == [(50, 25), (50, 25), (100, 50)]


def test_a_job_without_progress_has_none() -> None:
    report = read_report('{"attempt": 0, "commit": {"attempt": 0, "step": 5, "path": "a0/s5"}}')
    assert report is not None
    assert (report.step, progress_status(report)) == (5, None)


@pytest.mark.parametrize(
    ("loss", "told"), [("0.5", 0.5), ("1e300", LARGEST), ("-1e300", -LARGEST), ("NaN", None), ("Infinity", None)]
)
def test_a_loss_beyond_the_bounds_of_the_status_does_not_stop_it(loss: str, told: float | None) -> None:
    report = read_report(json.dumps({"attempt": 0, "progress": {**PROGRESS, "step": 1}})[:-2] + f', "loss": {loss}}}}}')
    assert report is not None
    assert (progress_status(report) or {}).get("loss") == told


def test_a_document_that_no_status_can_hold_is_none() -> None:
    assert read_report(json.dumps({"attempt": 0, "progress": {**PROGRESS, "step": -1}})) is None
