import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmeta_api.document import JobDocument
from gmeta_worker.report.build import build_report
from gmeta_worker.report.model import Report

MakeDocument = Callable[..., JobDocument]


def test_a_run_without_interruption(history: Any, document: MakeDocument) -> None:
    history.formed(1.0).progress(3.0, 10, training=1.0).evaluation(4.0, 10).commit(4.5, 10, score=0.65)
    history.progress(6.0, 30, training=3.0, evaluation=1.0, commit=0.5).evaluation(7.0, 30, "test").finish(8.0)
    report = build_report(document(), history.events)
    assert (report.ending.outcome, report.ending.message, report.ending.exit_code) == ("succeeded", "all steps", 0)
    assert (report.attempts, report.restarts, report.wall_seconds) == (1, 0, 7.0)
    assert report.phases == {"input": 0.75, "gradients": 2.25, "evaluation": 1.0, "commit": 0.5}
    assert report.training_seconds == 3.0
    assert report.input_wait_share == pytest.approx(0.1)
    assert report.goodput.productive_seconds == pytest.approx(8 - 2 - 0.5 - 0.3)
    assert report.goodput.lost_seconds == pytest.approx(
        {"startup": 2, "restart": 0, "commit": 0.5, "input": 0.3, "straggler": 0}
    )
    assert report.bytes_read == 30_000
    assert [(point.step, point.samples, point.epoch) for point in report.curve] == [(10, 500, 1), (30, 1500, 3)]
    assert report.throughput.samples_per_second == pytest.approx(500)
    assert report.throughput.tasks_per_second == pytest.approx(20)
    assert [point.samples_per_second for point in report.throughput.points] == [500, 500]
    assert [(commit.step, commit.bytes, commit.files) for commit in report.commits] == [(10, 2100, 2)]
    assert list(report.last_evaluations()) == ["test", "valid"], "the final split comes first"
    assert [point.step for point in report.watched()] == [10]
    assert (report.setup.dataset, report.setup.algorithm) == ("data:movies", "MAML")


def test_what_was_lost_between_commits_is_not_in_the_curve(history: Any, document: MakeDocument) -> None:
    history.formed(0.0).progress(1.0, 10, 1.0, loss=0.9).commit(1.1, 10).progress(2.0, 20, 2.0, loss=0.8)
    history.evaluation(2.1, 20, auc=0.1)
    history.formed(10.0).progress(11.0, 15, 0.5, loss=0.7).progress(12.0, 20, 1.0, loss=0.6)
    history.evaluation(12.1, 20, auc=0.6).finish(12.2, "interrupted", "asked to stop; committed", 143)
    history.formed(100.0, attempt=1).progress(101.0, 25, 0.5, loss=0.5)
    report = build_report(document(attempt=1), history.events)
    assert [(point.step, point.loss) for point in report.curve] == [(10, 0.9), (15, 0.7), (20, 0.6), (25, 0.5)]
    assert [(point.step, point.at) for point in report.evaluations] == [(20, 12.1)]
    assert (report.attempts, report.restarts) == (2, 2)
    assert report.ending.outcome == "unfinished", "the end of a former attempt is not the job's"
    assert report.training_seconds == pytest.approx(3.5), "lost work took time, too"
    assert report.throughput.samples_per_second == pytest.approx((1000 + 250) / 2.5)


def test_nothing_has_happened(document: MakeDocument) -> None:
    report = build_report(document(), [])
    assert report.ending.outcome == "unfinished"
    assert (report.curve, report.evaluations, report.commits, report.phases) == ((), (), (), {})
    assert math.isnan(report.throughput.samples_per_second)
    assert math.isnan(report.input_wait_share)
    assert '"input_wait_share":null' in report.model_dump_json()


def test_a_loss_that_is_no_number_is_null(history: Any, document: MakeDocument) -> None:
    history.formed(0.0).progress(1.0, 1, 1.0, loss=math.nan)
    text = build_report(document(), history.events).model_dump_json()
    assert '"loss":null' in text
    assert math.isnan(Report.model_validate_json(text).curve[0].loss)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 9)), max_size=6), max_size=4))
def test_any_history_gives_a_consistent_report(
    runs: list[list[tuple[int, float]]], history: Any, document: MakeDocument
) -> None:
    history.__init__()
    at = 0.0
    for run in runs:
        at += 1.0
        history.formed(at)
        step, training = 0, 0.0
        for more_steps, more_seconds in run:
            at, step, training = at + more_seconds, step + more_steps, training + more_seconds
            history.progress(at, step, training)
    report = build_report(document(), history.events)
    steps = [point.step for point in report.curve]
    assert steps == sorted(set(steps))
    assert report.training_seconds == pytest.approx(sum(seconds for run in runs for _, seconds in run))
    assert all(point.samples_per_second >= 0 for point in report.throughput.points)
    assert Report.model_validate_json(report.model_dump_json()).model_dump_json() == report.model_dump_json()
