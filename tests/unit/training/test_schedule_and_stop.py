"""Learning-rate schedules, early stopping, and when an evaluation is due."""

import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_api.spec import EarlyStopSpec, EvaluationSpec, ScheduleSpec, TrainingSpec
from gmeta_worker.checkpoint import Ledger
from gmeta_worker.metaio import StepReader
from gmeta_worker.training.early_stop import Progress, observe, should_stop
from gmeta_worker.training.loop import LoopActions, Position, Stop, TrainingLoop, evaluation_due
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.schedule import learning_rate

LINEAR = ScheduleSpec(type="linear", warmup_steps=10, min_rate=0.1)
COSINE = ScheduleSpec(type="cosine", warmup_steps=10, min_rate=0.1)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (ScheduleSpec(), 0, 1.0),
        (ScheduleSpec(), 99, 1.0),
        (ScheduleSpec(warmup_steps=4), 0, 0.25),
        (ScheduleSpec(warmup_steps=4), 3, 1.0),
        (LINEAR, 10, 1.0),
        (LINEAR, 99, 0.1),
        (LINEAR, 10 + 89 / 2, 0.55),
        (COSINE, 10, 1.0),
        (COSINE, 99, 0.1),
        (COSINE, 10 + 89 / 2, 0.55),
        (COSINE, 10 + 89 / 3, 0.1 + 0.9 * 0.75),
    ],
)
def test_rates_at_known_steps(schedule: ScheduleSpec, step: int, expected: float) -> None:
    assert learning_rate(1.0, schedule, step, 100) == pytest.approx(expected)


@given(st.sampled_from([LINEAR, COSINE]), st.integers(11, 98))
def test_descents_never_rise(schedule: ScheduleSpec, step: int) -> None:
    assert learning_rate(1.0, schedule, step + 1, 100) <= learning_rate(1.0, schedule, step, 100)


def test_a_run_shorter_than_its_warm_up_only_warms_up() -> None:
    assert [learning_rate(1.0, LINEAR, step, 3) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_patience_counts_evaluations_without_a_new_best() -> None:
    spec = EarlyStopSpec(metric="auc", patience=2, min_delta=0.01)
    progress, history = Progress(), []
    for value in (0.6, 0.605, 0.62, math.nan, 0.61):
        progress, improved = observe(progress, spec.metric, value, spec.min_delta)
        history.append((improved, should_stop(progress, spec)))
    assert history == [(True, False), (False, False), (True, False), (False, False), (False, True)]
    assert progress == Progress(best=0.62, since_best=2)
    assert not should_stop(progress, None)


def test_a_loss_improves_by_falling() -> None:
    progress, improved = observe(Progress(), "loss", 0.7, 0.0)
    assert improved
    assert observe(progress, "loss", 0.8, 0.0) == (Progress(best=0.7, since_best=1), False)
    assert observe(progress, "loss", 0.6, 0.0) == (Progress(best=0.6), True)


def test_evaluations_fall_on_epochs_or_steps_and_on_the_last_step() -> None:
    by_epoch = TrainingSpec(steps=25, evaluation=EvaluationSpec(every_epochs=2))
    by_steps = TrainingSpec(epochs=5, evaluation=EvaluationSpec(every_steps=7))
    assert [step for step in range(1, 26) if evaluation_due(by_epoch, step, 5, 25)] == [10, 20, 25]
    assert [step for step in range(1, 26) if evaluation_due(by_steps, step, 5, 25)] == [7, 14, 21, 25]


class NoReader:
    """A reader of an epoch of 5 steps that must not be read."""

    def steps(self) -> int:
        return 5


def test_a_run_that_has_stopped_early_does_not_train_again() -> None:
    def forbidden(*_: object) -> Any:
        raise AssertionError("the run has ended")

    spec = TrainingSpec(epochs=5, early_stop=EarlyStopSpec(patience=2))
    actions = LoopActions(forbidden, forbidden, forbidden, forbidden)
    phases, reader = PhasePlan(("MAML",), (0,), 25), cast("StepReader", NoReader())
    position = Position(Ledger(global_step=15), Progress(best=0.6, since_best=2))
    loop = TrainingLoop(spec, 10, phases, reader, actions, PhaseClock())
    assert loop.run(position) == (position, Stop.EARLY)
