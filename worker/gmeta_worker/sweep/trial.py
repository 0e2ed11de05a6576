"""One trial: an ordinary local run in a folder of its own, of which its report is kept."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from rich.console import Console

from gmeta_api.errors import GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination.messages import MetricRow
from gmeta_worker.coordination.status import Status
from gmeta_worker.local.launch import Start, launch
from gmeta_worker.report.comparison import read_report
from gmeta_worker.sweep.manifest import Params, Sweep

TRIALS = "trials"

Prune = Callable[[float], bool]
"""Hears of the metric at each evaluation during training; whether the trial is to end there."""


@dataclass(frozen=True)
class Outcome:
    """How a trial has ended.

    Attributes:
        state: `pruned` where the pruner has ended it, `interrupted` where the user has.
        value: the metric of a complete trial.
        message: why it has failed.
        exit_code: that of its run.
    """

    state: Literal["complete", "pruned", "failed", "interrupted"]
    value: float | None = None
    message: str = ""
    exit_code: int = 0


@dataclass
class Watcher:
    """Turns the statuses of a run into the pruner's question, once for each evaluation during training.

    Attributes:
        metric: of an evaluation's rows.
        prune: the question.
        step: of the last evaluation; the one of the best commit at the end is of no later step.
        pruned: whether the trial was ended.
    """

    metric: Callable[[Sequence[MetricRow]], float]
    prune: Prune
    step: int = 0
    pruned: bool = False

    def __call__(self, status: Status) -> bool:
        """Whether the run goes on."""
        evaluation, progress = status.last_evaluation, status.progress
        if evaluation is not None and evaluation.step > self.step and not self.pruned:
            self.step = evaluation.step
            wanted = self.prune(self.metric(evaluation.rows))
            self.pruned = wanted and progress is not None and self.step < progress.total_steps
        return not self.pruned


class LocalTrials:
    """Runs trials on this machine, one after the other.

    Args:
        sweep: what is searched.
        out: folder of the sweep.
        volumes: `NAME=FOLDER` of the job's volumes.
    """

    def __init__(self, sweep: Sweep, out: Path, volumes: Iterable[str]) -> None:
        self._sweep = sweep
        self._out = out.resolve()
        self._volumes = (*volumes, f"{sweep.trial_volume}={self._out}")

    def __call__(self, number: int, params: Params, prune: Prune) -> Outcome:
        """Run a trial to its end."""
        folder = trial_folder(self._out, number)
        try:
            job = self._sweep.trial_job(params, f"{TRIALS}/{folder.name}")
            adapted = job.spec.algorithms[-1] != "Joint"
            spec = self._sweep.spec
            watcher = Watcher(lambda rows: value_of(rows, spec.metric, spec.shot, adapted=adapted), prune)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "run.log").open("w") as log:
                code = launch(job, self._volumes, Start.FRESH, Console(file=log), watcher)
            outcome = _outcome(folder, code, watcher)
        except GMetaError as error:
            outcome = Outcome("failed", None, str(error), error.exit_code)
        if outcome.state != "failed":
            _keep_report(folder)
        return outcome


def trial_folder(out: Path, number: int) -> Path:
    """The run folder of a trial."""
    return out / TRIALS / f"{number:04}"


def keep_commits_of(out: Path, number: int | None) -> None:
    """Delete the commits of all trials but one."""
    for commits in (out / TRIALS).glob("*/a[0-9]*"):
        if number is None or commits.parent != trial_folder(out, number):
            shutil.rmtree(commits)


def _keep_report(folder: Path) -> None:
    """Delete what a run leaves beside its report and its commits."""
    for name in ("logs", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in (*folder.glob("*.png"), folder / "events.jsonl", folder / "run.log"):
        path.unlink(missing_ok=True)


def value_of(rows: Sequence[MetricRow], metric: str, shot: int | None, *, adapted: bool) -> float:
    """A metric at a shot, or its mean over the shots, of the adapted or the un-adapted model."""
    chosen = [row for row in rows if row.adapted is adapted and shot in (None, row.shot)]
    return fmean(getattr(row, metric) for row in chosen)


def _outcome(folder: Path, code: int, watcher: Watcher) -> Outcome:
    if code == ExitCode.INTERRUPTED:
        return Outcome("pruned" if watcher.pruned else "interrupted", exit_code=code)
    if code != ExitCode.OK:
        return Outcome("failed", None, _message(folder), code)
    return Outcome("complete", watcher.metric(read_report(folder).evaluations[-1].rows))


def _message(folder: Path) -> str:
    """What the report says of the end, or else the last line that was shown."""
    try:
        return read_report(folder).ending.message
    except GMetaError:
        return (folder / "run.log").read_text().strip().rpartition("\n")[2]
