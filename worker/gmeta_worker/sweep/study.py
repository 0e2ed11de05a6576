"""The search's memory: an Optuna study in a journal file, which survives the end of its process at any moment."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gmeta_api.errors import CheckpointError, ManifestError, Problem
from gmeta_api.shapes import Location, format_path
from gmeta_worker.sweep.manifest import Sweep
from gmeta_worker.sweep.space import params_of

JOURNAL = "optuna.journal"
STUDY = "sweep"
MANIFEST = "manifest"
RETRY_OF = "retryOf"
"""Names in the journal: of the study, and of its and its trials' user attributes."""


@contextmanager
def open_study(sweep: Sweep, out: Path) -> Iterator[Study]:
    """The study of a sweep in `out`, a new one or the one that is there.

    Raises:
        ManifestError: another sweep is there.
        CheckpointError: the folder cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _only_one(out):
        study = _create_or_load(sweep, out / JOURNAL)
        _begin_or_require_same(study, sweep, out)
        _retry_broken(study)
        yield study


def finished(study: Study) -> int:
    """How many trials have ended, those that a retry stands for left out."""
    retried = retried_trials(study)
    return sum(trial.state.is_finished() and trial.number not in retried for trial in study.trials)


def retried_trials(study: Study) -> set[int]:
    """The numbers of broken trials that were queued again."""
    return {trial.user_attrs[RETRY_OF] for trial in study.trials if RETRY_OF in trial.user_attrs}


def sampler(sweep: Sweep, place: int) -> BaseSampler:
    """The sampler of the trial at a place of the search: seeded by it, so that a resumed search draws what it would."""
    seed = (sweep.spec.seed + place) % 2**32
    if sweep.spec.sampler == "random":
        return RandomSampler(seed)
    return TPESampler(n_startup_trials=sweep.spec.startup_trials, seed=seed)


def pruner(sweep: Sweep) -> BasePruner:
    """Optuna's pruner."""
    return MedianPruner() if sweep.spec.pruner == "median" else NopPruner()


def best_trial(study: Study) -> FrozenTrial | None:
    """The best complete trial."""
    return study.best_trial if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) else None


def differences(old: object, new: object, location: Location = ()) -> Iterator[str]:
    """Where two JSON values differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from differences(old.get(name), new.get(name), (*location, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, (*location, place))
    elif old != new:
        yield f"{format_path(location)} was {json.dumps(old)}, is {json.dumps(new)}"


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({error.strerror}); name a folder with --out") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CheckpointError(
            f"{out}: another gmeta sweep is running there; wait for it, or use another --out"
        ) from error
    finally:
        os.close(descriptor)


def _create_or_load(sweep: Sweep, journal: Path) -> Study:
    _repair(journal)
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=STUDY,
            direction=sweep.spec.direction,
            pruner=pruner(sweep),
            load_if_exists=True,
        )
    except ValueError as error:
        raise CheckpointError(f"{journal}: is damaged ({error}); use another --out") from error


def _repair(journal: Path) -> None:
    """Cut off a line that a crash cut short, and take away the lock that its writer has left: nobody else writes."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists():
        data = journal.read_bytes()
        os.truncate(journal, data.rfind(b"\n") + 1)


def _begin_or_require_same(study: Study, sweep: Sweep, out: Path) -> None:
    now = identity(sweep)
    before = study.user_attrs.get(MANIFEST)
    if before is None:
        if not study.trials:
            study.enqueue_trial(params_of(sweep.spec.space, now["job"]))
        study.set_user_attr(MANIFEST, now)
        return
    changed = list(differences(before, now))
    if changed:
        raise ManifestError(
            Problem(str(out), f"holds the trials of another sweep: {difference}; undo the change, or use another --out")
            for difference in changed
        )


def identity(sweep: Sweep) -> Mapping[str, Any]:
    """What must not change between the trials of a sweep; their number may."""
    spec = sweep.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"trials"})
    return {**spec, "job": sweep.job.model_dump(mode="json", by_alias=True, exclude_none=True)}


def _retry_broken(study: Study) -> None:
    """Queue the trials again, once, that an earlier process of this search has left in the middle."""
    retried = retried_trials(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.number not in retried and RETRY_OF not in trial.user_attrs:
            study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
