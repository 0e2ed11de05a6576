"""What `sweep.json` holds. Version 1; the field descriptions are the documentation of the file."""

import warnings
from typing import Literal

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt

from gmeta_worker.checkpoint.record import Measure, Record
from gmeta_worker.sweep.manifest import Sweep
from gmeta_worker.sweep.search import MESSAGE, SECONDS
from gmeta_worker.sweep.space import job_values
from gmeta_worker.sweep.study import RETRY_OF, best_trial, retried_trials

FEWEST_FOR_IMPORTANCE = 5
BROKEN = "the search ended during this trial"

State = Literal["complete", "pruned", "failed"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class TrialResult(Record):
    """One trial that has ended."""

    number: NonNegativeInt = Field(description="Its folder is trials/<number of four digits>.")
    state: State
    value: float | None = Field(description="The metric; of a pruned trial as it was when it ended.")
    params: dict[str, JsonValue] = Field(description="Values of the searched fields, by path.")
    evaluations: tuple[Measure, ...] = Field(description="The metric at each evaluation during training.")
    seconds: NonNegativeFloat | None = Field(description="Wall time; null where the search ended during the trial.")
    message: str = Field(description="Why it has failed; else empty.")
    retry_of: NonNegativeInt | None = Field(description="The trial during which the search ended; else null.")
    retried: bool = Field(description="Whether it was broken and another trial stands for it.")


class SweepResult(Record):
    """A search as far as it has come."""

    version: Literal[1] = 1
    job: str = Field(description="Name of the job.")
    split: str = Field(description="Split that the metric was taken on.")
    metric: str
    shot: NonNegativeInt | None = Field(description="Shot of the metric; null for the mean over the job's shots.")
    direction: Literal["minimize", "maximize"]
    best: NonNegativeInt | None = Field(description="Number of the best complete trial.")
    importance: dict[str, NonNegativeFloat] = Field(
        description="Share of each parameter in being among the best tenth (PED-ANOVA); empty with few trials."
    )
    trials: tuple[TrialResult, ...]

    def ranked(self) -> list[TrialResult]:
        """The complete trials, best first."""
        sign = 1.0 if self.direction == "minimize" else -1.0
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda trial: sign * (trial.value or 0.0))


def result_of(study: Study, sweep: Sweep) -> SweepResult:
    """The result of a study."""
    best = best_trial(study)
    retried = retried_trials(study)
    ended = [trial for trial in study.trials if trial.state in _STATES]
    return SweepResult(
        job=sweep.job.metadata.name,
        split=sweep.job.spec.training.evaluation.split,
        metric=sweep.spec.metric,
        shot=sweep.spec.shot,
        direction=sweep.spec.direction,
        best=best and best.number,
        importance=importance(study),
        trials=tuple(_trial_result(trial, sweep, retried=trial.number in retried) for trial in ended),
    )


def importance(study: Study) -> dict[str, float]:
    """The importance of each parameter by Optuna's PED-ANOVA, nothing where too few trials are complete."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < FEWEST_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return {name: float(share) for name, share in optuna.importance.get_param_importances(study).items()}


def _trial_result(trial: FrozenTrial, sweep: Sweep, *, retried: bool) -> TrialResult:
    failed = trial.state is TrialState.FAIL
    return TrialResult(
        number=trial.number,
        state=_STATES[trial.state],
        value=trial.value,
        params=job_values(sweep.spec.space, trial.params),
        evaluations=tuple(value for _, value in sorted(trial.intermediate_values.items())),
        seconds=trial.user_attrs.get(SECONDS),
        message=trial.user_attrs.get(MESSAGE, BROKEN) if failed else "",
        retry_of=trial.user_attrs.get(RETRY_OF),
        retried=retried,
    )
