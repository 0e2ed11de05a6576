"""The search: Optuna asks for trials, somebody runs them, and the study remembers how they ended."""

import math
import time
from collections.abc import Callable

from optuna.study import Study
from optuna.trial import Trial, TrialState

from gmeta_api.exit_codes import ExitCode
from gmeta_worker.sweep.manifest import Params, Sweep
from gmeta_worker.sweep.space import distributions, job_values
from gmeta_worker.sweep.study import finished, sampler
from gmeta_worker.sweep.trial import Outcome, Prune

MESSAGE = "message"
EXIT_CODE = "exitCode"
SECONDS = "seconds"
"""User attributes of a trial."""

RunTrial = Callable[[int, Params, Prune], Outcome]
"""Runs the trial of a number with some values; is told at each evaluation whether to go on."""

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def search(study: Study, sweep: Sweep, trials: int, run_trial: RunTrial, after_trial: Callable[[int], None]) -> bool:
    """Run trials until `trials` of them have ended; False where the user has interrupted one, which stays open."""
    while (place := finished(study)) < trials:
        study.sampler = sampler(sweep, place)
        trial = study.ask(distributions(sweep.spec.space))
        began = time.monotonic()
        outcome = checked(run_trial(trial.number, job_values(sweep.spec.space, trial.params), _prune(trial)))
        if outcome.state == "interrupted":
            return False
        trial.set_user_attr(SECONDS, round(time.monotonic() - began, 3))
        if outcome.state == "failed":
            trial.set_user_attr(MESSAGE, outcome.message)
            trial.set_user_attr(EXIT_CODE, int(outcome.exit_code))
        study.tell(trial, outcome.value, state=_STATES[outcome.state])
        after_trial(trial.number)
    return True


def checked(outcome: Outcome) -> Outcome:
    """A trial whose metric nothing defines has failed."""
    if outcome.value is not None and math.isnan(outcome.value):
        message = "the metric is not a number: no task of the split has both labels among its query rows"
        return Outcome("failed", None, message, ExitCode.DATA)
    return outcome


def exit_code_of(study: Study) -> int:
    """0 where a trial has come to a value; else the exit code of the last one that has failed."""
    if any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials):
        return 0
    return next((trial.user_attrs[EXIT_CODE] for trial in reversed(study.trials) if EXIT_CODE in trial.user_attrs), 1)


def _prune(trial: Trial) -> Prune:
    """The pruner's question; it counts evaluations, since trials may have steps of different sizes."""
    step = 0

    def prune(value: float) -> bool:
        nonlocal step
        step += 1
        trial.report(value, step)
        return trial.should_prune()

    return prune
