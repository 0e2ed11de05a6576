"""The search: what it asks for, what it remembers, and how it goes on."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.unit.sweep.conftest import Formula, MakeSweep

from gmeta_api.errors import CheckpointError, ManifestError
from gmeta_worker.sweep.manifest import Params, Sweep
from gmeta_worker.sweep.result import BROKEN, SweepResult, result_of
from gmeta_worker.sweep.search import RunTrial, exit_code_of, search
from gmeta_worker.sweep.study import open_study
from gmeta_worker.sweep.trial import Outcome, Prune


def searched(sweep: Sweep, out: Path, run: RunTrial, trials: int = 8) -> SweepResult:
    with open_study(sweep, out) as study:
        search(study, sweep, trials, run, lambda number: None)
        return result_of(study, sweep)


def asked(result: SweepResult) -> list[Any]:
    """What the trials that count were, in order."""
    return [trial.params for trial in result.trials if not trial.retried]


def test_the_best_of_the_trials_is_the_best_value(sweep: MakeSweep, tmp_path: Path) -> None:
    run = Formula()
    result = searched(sweep(), tmp_path / "out", run, 12)
    assert len(result.trials) == 12
    assert asked(result) == run.asked
    ranked = result.ranked()
    values = [trial.value for trial in ranked if trial.value is not None]
    assert values == sorted((Formula.value(trial.params) for trial in ranked), reverse=True)
    assert result.best == ranked[0].number
    assert ranked[0].value == Formula.value(ranked[0].params)
    assert ranked[0].evaluations == (0.5 * ranked[0].value, ranked[0].value)
    for trial in result.trials:
        rate, steps = trial.params["spec.meta.inner.rate"], trial.params["spec.meta.inner.steps"]
        assert isinstance(rate, float)
        assert 0.01 <= rate <= 1
        assert steps in range(1, 6)
        assert trial.params["spec.model.top"] in ([8], [4, 4])


def test_the_first_trial_is_the_job_as_it_is(sweep: MakeSweep, tmp_path: Path) -> None:
    meta = {"algorithm": "MAML", "inner": {"steps": 4, "rate": 7.0}}
    model = {"type": "DLRM", "embeddingDim": 4, "bottom": [4], "top": [4, 4]}
    result = searched(sweep(job={"meta": meta, "model": model}), tmp_path / "out", Formula(), 2)
    first, second = asked(result)
    assert first["spec.meta.inner.steps"] == 4
    assert first["spec.model.top"] == [4, 4]
    assert first["spec.meta.inner.rate"] <= 1, "7 lies outside of the space, so it is drawn"
    assert second != first


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_killed_search_goes_on_as_an_unbroken_one(sweep: MakeSweep, tmp_path: Path, sampler: str) -> None:
    made = sweep(sampler=sampler, pruner="none")
    unbroken = searched(made, tmp_path / "unbroken", Formula())
    for after in (2, 3):  # once while drawing at random, once by TPE
        with pytest.raises(KeyboardInterrupt):
            searched(made, tmp_path / "broken", Formula(after))
    broken = searched(made, tmp_path / "broken", Formula())
    assert asked(broken) == asked(unbroken)
    assert [trial.number for trial in broken.trials if trial.retried] == [2, 6]
    assert [(trial.number, trial.retry_of) for trial in broken.trials if trial.retry_of is not None] == [(3, 2), (7, 6)]
    assert {trial.message for trial in broken.trials if trial.retried} == {BROKEN}
    assert len({str(params) for params in asked(broken)}) == 8, "no draw comes twice"


def test_a_trial_is_tried_again_once(sweep: MakeSweep, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            searched(sweep(), tmp_path / "out", Formula(0))
    result = searched(sweep(), tmp_path / "out", Formula(), 3)
    assert [(trial.number, trial.state, trial.retried) for trial in result.trials] == [
        (0, "failed", True),
        (1, "failed", False),
        (2, "complete", False),
        (3, "complete", False),
    ]


def test_a_journal_that_a_crash_cut_short_is_repaired(sweep: MakeSweep, tmp_path: Path) -> None:
    before = searched(sweep(), tmp_path / "out", Formula(), 2)
    journal = tmp_path / "out/optuna.journal"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker')
    (tmp_path / "out/optuna.journal.lock").symlink_to(journal)
    after = searched(sweep(), tmp_path / "out", Formula(), 3)
    assert after.trials[:2] == before.trials
    assert searched(sweep(), tmp_path / "out", Formula(), 3) == after

    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"not JSON\n", *lines[3:]]))
    with pytest.raises(CheckpointError, match=r"optuna.journal: is damaged .*; use another --out"):
        searched(sweep(), tmp_path / "out", Formula(), 3)


def test_an_interrupted_trial_stays_open(sweep: MakeSweep, tmp_path: Path) -> None:
    with open_study(sweep(), tmp_path / "out") as study:
        assert not search(study, sweep(), 3, lambda *_: Outcome("interrupted"), lambda number: None)
        assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.RUNNING]
    result = searched(sweep(), tmp_path / "out", Formula(), 1)
    assert [(trial.number, trial.retry_of) for trial in result.trials] == [(0, None), (1, 0)]


def test_more_trials_may_be_asked_for_later(sweep: MakeSweep, tmp_path: Path) -> None:
    searched(sweep(), tmp_path / "out", Formula(), 2)
    run = Formula()
    assert len(searched(sweep(trials=9), tmp_path / "out", run, 5).trials) == 5
    assert len(run.asked) == 3


@pytest.mark.parametrize(
    ("job", "changes", "message"),
    [
        (None, {"metric": "gauc"}, 'metric was "auc", is "gauc"'),
        (None, {"pruner": "none", "seed": 1}, "seed was 0, is 1"),
        ({"training": {"epochs": 7}}, {}, "job.spec.training.epochs was"),
        (None, {"space": [{"path": "spec.model.dropout", "type": "float", "low": 0, "high": 0.5}]}, "space was"),
    ],
)
def test_another_sweep_in_the_same_folder_is_refused_by_name(
    sweep: MakeSweep, tmp_path: Path, job: dict[str, Any] | None, changes: dict[str, Any], message: str
) -> None:
    searched(sweep(), tmp_path / "out", Formula(), 1)
    with pytest.raises(ManifestError) as refused:
        searched(sweep(job, **changes), tmp_path / "out", Formula(), 1)
    assert f"{tmp_path / 'out'}: holds the trials of another sweep: {message}" in str(refused.value)


def test_two_searches_do_not_share_a_folder(sweep: MakeSweep, tmp_path: Path) -> None:
    with open_study(sweep(), tmp_path / "out"), pytest.raises(CheckpointError, match="another gmeta sweep is running"):
        searched(sweep(), tmp_path / "out", Formula(), 1)


def test_bad_trials_are_pruned_and_do_not_count_as_best(sweep: MakeSweep, tmp_path: Path) -> None:
    values = iter([1.0, 1.1, 1.2, 1.3, 1.4, 0.2])
    heard: list[tuple[float, bool]] = []

    def run(number: int, params: Params, prune: Prune) -> Outcome:
        value = next(values)
        heard.append((value, prune(value)))
        return Outcome("pruned") if heard[-1][1] else Outcome("complete", value)

    result = searched(sweep(), tmp_path / "out", run, 6)
    assert [pruned for _, pruned in heard] == [False] * 5 + [True]
    assert result.trials[5].state == "pruned"
    assert (result.trials[5].value, result.best) == (0.2, 4)


def test_loss_falls(sweep: MakeSweep, tmp_path: Path) -> None:
    values = iter([0.7, 0.6, 0.65])
    result = searched(sweep(metric="loss"), tmp_path / "out", lambda *_: Outcome("complete", next(values)), 3)
    assert [trial.number for trial in result.ranked()] == [1, 2, 0]


def test_failed_trials_are_told_and_the_search_goes_on(sweep: MakeSweep, tmp_path: Path) -> None:
    ends = iter([Outcome("failed", None, "the loss is not finite", 69), Outcome("complete", math.nan)])
    with open_study(sweep(), tmp_path / "out") as study:
        search(study, sweep(), 2, lambda *_: next(ends), lambda number: None)
        assert exit_code_of(study) == 65, "that of the last one"
        result = result_of(study, sweep())
        assert [trial.state for trial in result.trials] == ["failed", "failed"]
        assert result.trials[0].message == "the loss is not finite"
        assert result.trials[1].message.startswith("the metric is not a number")
        assert (result.best, result.ranked()) == (None, [])
        search(study, sweep(), 3, Formula(), lambda number: None)
        assert exit_code_of(study) == 0
