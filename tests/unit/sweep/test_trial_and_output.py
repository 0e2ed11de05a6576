"""From a run's messages to a trial's end, and what a sweep leaves."""

import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.report.test_write import Page
from tests.unit.sweep.conftest import Formula, MakeSweep

from gmeta_api.document import JobIdentity
from gmeta_api.load import load_manifest
from gmeta_api.yaml_loader import parse_yaml
from gmeta_worker.cli.sweep import best_table, trial_line
from gmeta_worker.cli.sweep import sweep as sweep_command
from gmeta_worker.coordination.messages import Evaluation, MetricRow
from gmeta_worker.coordination.status import GoodputStatus, ProgressStatus, Status
from gmeta_worker.sweep.output import to_yaml, write_numbers, write_page
from gmeta_worker.sweep.result import SweepResult, result_of
from gmeta_worker.sweep.search import search
from gmeta_worker.sweep.study import open_study
from gmeta_worker.sweep.trial import Outcome, Watcher, keep_commits_of, value_of


def rows(*values: tuple[int, bool, float]) -> tuple[MetricRow, ...]:
    return tuple(
        MetricRow(shot=shot, adapted=adapted, auc=auc, gauc=math.nan, loss=1 - auc, tasks=1, rows=1)
        for shot, adapted, auc in values
    )


ROWS = rows((1, False, 0.5), (1, True, 0.6), (5, False, 0.5), (5, True, 0.8))


@pytest.mark.parametrize(
    ("metric", "shot", "adapted", "value"),
    [("auc", None, True, 0.7), ("auc", 5, True, 0.8), ("loss", 1, True, 0.4), ("auc", None, False, 0.5)],
)
def test_a_metric_is_that_of_a_shot_or_the_mean(metric: str, shot: int | None, adapted: bool, value: float) -> None:
    assert value_of(ROWS, metric, shot, adapted=adapted) == pytest.approx(value)


def status(step: int, auc: float, total: int = 30) -> Status:
    """Of a running job that was last evaluated at `step`; never, with step 0."""
    evaluation = Evaluation(
        attempt=0, generation=1, rank=0, epoch=0, step=step, split="valid", rows=rows((1, True, auc)), auc=auc
    )
    progress = {"epoch": 0, "epochs": 1, "step": step, "total_steps": total, "samples": 1, "loss": 0.5, "auc": auc}
    rates = {"samples_per_second": 1.0, "tasks_per_second": 1.0, "input_wait_share": 0.0}
    return Status(
        job=JobIdentity(name="job", namespace="default"),
        state="running",
        attempt=0,
        generation=1,
        progress=ProgressStatus.model_validate(progress | rates),
        commit=None,
        export=None,
        commits=0,
        last_evaluation=evaluation if step else None,
        evaluations=1,
        workers=(),
        waiting=(),
        world_size=1,
        reason="",
        restarts={},
        warnings=(),
        goodput=GoodputStatus(),
        finished=None,
    )


def watcher(*wanted: float) -> tuple[Watcher, list[float]]:
    """Prunes at the values `wanted`; and what it was asked."""
    heard: list[float] = []

    def prune(value: float) -> bool:
        heard.append(value)
        return value in wanted

    return Watcher(lambda found: found[0].auc, prune), heard


def test_each_evaluation_during_training_is_asked_about_once() -> None:
    watch, heard = watcher()
    assert watch(status(0, 0.0))
    for step, auc in ((10, 0.6), (10, 0.6), (20, 0.7), (20, 0.7), (30, 0.65), (20, 0.7)):
        assert watch(status(step, auc))
    assert heard == [0.6, 0.7, 0.65], "the best commit's evaluation at the end is none of training"
    assert not watch.pruned


def test_a_trial_ends_where_the_pruner_says_but_not_after_its_last_step() -> None:
    watch, heard = watcher(0.6)
    assert watch(status(10, 0.9))
    assert not watch(status(20, 0.6))
    assert not watch(status(20, 0.6))
    assert (watch.pruned, heard) == (True, [0.9, 0.6])
    watch, _ = watcher(0.6)
    assert watch(status(30, 0.6))
    assert not watch.pruned


def test_only_the_best_trial_keeps_its_commits(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"trials/{number:04}/a0/s10").mkdir(parents=True)
        (tmp_path / f"trials/{number:04}/report.json").touch()
    keep_commits_of(tmp_path, 1)
    assert [path.parent.name for path in tmp_path.glob("trials/*/a0")] == ["0001"]
    assert len(list(tmp_path.glob("trials/*/report.json"))) == 3


@pytest.fixture
def found(sweep: MakeSweep, tmp_path: Path) -> SweepResult:
    ends = iter([Outcome("failed", None, "the loss is <not> finite", 69)])
    formula, made = Formula(), sweep(pruner="none")
    with open_study(made, tmp_path / "out") as study:
        search(study, made, 1, lambda *_: next(ends), lambda number: None)
        search(study, made, 10, formula, lambda number: None)
        result = result_of(study, made)
    write_numbers(tmp_path / "out", made, result)
    write_page(tmp_path / "out", made, result)
    return result


def test_the_files_of_a_sweep(found: SweepResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert SweepResult.model_validate_json((out / "sweep.json").read_text()) == found
    best = found.ranked()[0]
    job = load_manifest(out / "best.yaml").spec
    assert job.meta.inner.rate == best.params["spec.meta.inner.rate"]
    assert job.meta.inner.steps == best.params["spec.meta.inner.steps"]
    assert list(job.model.top) == best.params["spec.model.top"]
    assert set(found.importance) == {"spec.meta.inner.rate", "spec.meta.inner.steps", "spec.model.top"}
    assert sum(found.importance.values()) == pytest.approx(1.0)


def test_the_page_shows_the_best_and_the_failed_trials(found: SweepResult, tmp_path: Path) -> None:
    text = (tmp_path / "out/sweep.html").read_text()
    page = Page(text)
    words = " ".join(page.words)
    assert "9 complete" in words
    assert "1 failed" in words
    assert "the loss is <not> finite" in words
    best = found.ranked()[0]
    assert f"{best.number} {best.value:.4f}" in words
    assert len(page.images) == 3, "history, three parameters, importance"
    assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in page.images)
    assert not re.search(r"https?://|@import|url\(|<link|<script", text)


def test_lines_in_the_terminal(found: SweepResult) -> None:
    assert trial_line(found, 0, 10).startswith("10/10  trial 0  failed: the loss is <not> finite  best ")
    best = found.ranked()[0]
    line = trial_line(found, best.number, 10)
    assert f"auc {best.value:.4f}  best {best.value:.4f} (trial {best.number})" in line
    assert f"steps={best.params['spec.meta.inner.steps']} top={json.dumps(best.params['spec.model.top'])}" in line
    assert best_table(found).row_count == 9


def test_without_optuna_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(sweep_command, ["sweep.yaml", "--out", "out"])
    assert result.exit_code == 1
    assert "gmeta sweep needs Optuna 5, which is not installed; run `pip install 'optuna>=5'`" in result.output


@pytest.mark.parametrize(
    "value", ["1e-3", "0o17", "on", "null", "~", "2026-01-01", "plain", "rating >= 4", 1e-05, True]
)
def test_a_manifest_written_is_the_manifest_read(value: Any, tmp_path: Path) -> None:
    text = to_yaml({"a": {"b": [value]}})
    assert parse_yaml(text, "text") == {"a": {"b": [value]}}
