"""`gmeta sweep`: the settings of a job that are best on its valid tasks."""

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from gmeta_api.exit_codes import ExitCode
from gmeta_worker.cli.prepare import PhaseBars
from gmeta_worker.local.site import volume_folders
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import run as prepare

if TYPE_CHECKING:
    from gmeta_worker.sweep.manifest import Sweep
    from gmeta_worker.sweep.result import SweepResult, TrialResult

BEST_SHOWN = 10


@click.command(
    epilog="Example:  gmeta sweep examples/movielens-1m-p0-sweep.yaml --volume data=./data --out sweeps/p0 --trials 20"
)
@click.argument("manifest", metavar="SWEEP", type=click.Path(path_type=Path))
@click.option("--volume", "volumes", multiple=True, metavar="NAME=FOLDER", help="Folder of a volume [./volumes/NAME].")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the sweep.")
@click.option("--trials", type=click.IntRange(min=1), help="Trials in all, in place of the manifest's.")
def sweep(manifest: Path, volumes: tuple[str, ...], out: Path, trials: int | None) -> None:
    """Search the hyper-parameters of a job by SWEEP, one local run after the other, on valid tasks only.

    Started again with the same --out it goes on where it was ended, however that was. The folder gets sweep.json,
    sweep.html, best.yaml (the job with the best settings) and the trials' reports.
    """
    _require_optuna()
    from gmeta_worker.sweep.manifest import load_sweep

    loaded = load_sweep(manifest)
    console = Console(highlight=False, soft_wrap=True)
    prepare_dataset(loaded, volumes, console)
    sys.exit(run_sweep(loaded, volumes, out, trials or loaded.spec.trials, console))


def prepare_dataset(loaded: "Sweep", volumes: tuple[str, ...], console: Console) -> None:
    """Make the dataset that all trials share, or see that it is there."""
    data = loaded.job.spec.data
    root = volume_folders(loaded.job, volumes)[data.volume]
    if data.prepare is None:
        Dataset.open(root / data.path)
        return
    with PhaseBars(console) as progress:
        prepare(data.prepare, root, root / data.path, progress=progress)


def run_sweep(loaded: "Sweep", volumes: tuple[str, ...], out: Path, trials: int, console: Console) -> int:
    """Search until `trials` trials have ended, and write the results; the exit code."""
    from gmeta_worker.sweep.output import write_numbers, write_page
    from gmeta_worker.sweep.result import result_of
    from gmeta_worker.sweep.search import exit_code_of, search
    from gmeta_worker.sweep.study import open_study
    from gmeta_worker.sweep.trial import LocalTrials, keep_commits_of

    def after_trial(number: int) -> None:
        result = result_of(study, loaded)
        write_numbers(out, loaded, result)
        keep_commits_of(out, result.best)
        console.print(trial_line(result, number, trials), markup=False)

    with open_study(loaded, out) as study:
        whole = search(study, loaded, trials, LocalTrials(loaded, out, volumes), after_trial)
        result = result_of(study, loaded)
        write_page(out, loaded, result)
        console.print(best_table(result))
        console.print(f"Sweep: {out / 'sweep.html'}")
        if not whole:
            console.print("interrupted: the same command goes on")
        return exit_code_of(study) if whole else ExitCode.INTERRUPTED


def trial_line(result: "SweepResult", number: int, trials: int) -> str:
    """A trial that has just ended, and the best one so far."""
    trial = next(each for each in result.trials if each.number == number)
    ended = sum(not each.retried for each in result.trials)
    ranked = result.ranked()
    best = f"best {ranked[0].value:.4f} (trial {ranked[0].number})" if ranked else "no best yet"
    return f"{ended}/{trials}  trial {number}  {_how(trial, result.metric)}  {best}  {_settings(trial)}"


def best_table(result: "SweepResult") -> Table:
    """The best trials with their settings."""
    trials = result.ranked()[:BEST_SHOWN]
    table = Table(title=f"Best trials: {result.metric} on {result.split}", title_justify="left", box=SIMPLE)
    table.add_column("trial", justify="right")
    table.add_column(result.metric, justify="right")
    table.add_column("settings")
    for trial in trials:
        table.add_row(str(trial.number), f"{trial.value:.5f}", _settings(trial))
    return table


def _settings(trial: "TrialResult") -> str:
    from gmeta_worker.sweep.space import settings_line

    return settings_line(trial.params)


def _how(trial: "TrialResult", metric: str) -> str:
    if trial.state == "failed":
        return f"failed: {trial.message}"
    value = "n/a" if trial.value is None else f"{trial.value:.4f}"
    return f"{metric} {value}" if trial.state == "complete" else f"pruned at {metric} {value}"


def _require_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise click.ClickException(
            "gmeta sweep needs Optuna 5, which is not installed; run `pip install 'optuna>=5'` "
            "(or install gmeta-worker with its extra: gmeta-worker[sweep])"
        )
