"""What the quality protocols share: a manifest trained with `gmeta run`, its final scores, and their means."""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Groups = Mapping[str, Sequence[int]]
"""Shots by the name of their group."""
NOT_TRAINING = ("evaluation", "commit")
METRICS = ("auc", "gauc")
DATA = "folder with ml-1m/ and its splits"
"""What --data is."""


@dataclass(frozen=True)
class Run:
    """What a seed's run has come to.

    Attributes:
        scores: of the final split, a row for each shot and mode.
        samples: trained on.
        seconds: of training, without evaluations and commits.
    """

    scores: Sequence[Mapping[str, Any]]
    samples: int
    seconds: float

    def by_group(self, groups: Groups, metric: str, *, adapted: bool) -> dict[str, float]:
        """Mean over the shots of each group."""
        at = {row["shot"]: row[metric] for row in self.scores if row["adapted"] is adapted}
        return {name: statistics.fmean(at[shot] for shot in shots) for name, shots in groups.items()}


def run_seed(manifest: Path, folder: Path, name: str, seed: int, settings: Iterable[str] = ()) -> Run:
    """Train and score one seed in `folder`/`name`-`seed`; the source files lie in `folder`/data.

    Raises:
        RuntimeError: the run has failed.
    """
    path = f"{name}-{seed}"
    given = [f"spec.training.seed={seed}", f"spec.checkpoint.path={path}", *settings]
    options = [option for setting in given for option in ("--set", setting)]
    places = [f"--volume=data={folder / 'data'}", f"--volume=runs={folder}"]
    program = "from gmeta_worker.cli.main import main; main()"
    command = [sys.executable, "-c", program, "run", str(manifest), "--fresh", *places, *options]
    code = subprocess.run(command, check=False).returncode
    if code or (found := finished_run(folder / path)) is None:
        raise RuntimeError(f"{name}: seed {seed} has failed; see {folder / path}/logs")
    return found


def finished_run(folder: Path) -> Run | None:
    """What the run in a folder has come to; None where none has succeeded there."""
    events = folder / "events.jsonl"
    messages = [json.loads(line)["message"] for line in events.read_text().splitlines()] if events.exists() else []
    if not messages or messages[-1]["kind"] != "finish" or messages[-1]["outcome"] != "succeeded":
        return None
    progress = [each for each in messages if each["kind"] == "progress" and each["rank"] == 0][-1]
    final = [each for each in messages if each["kind"] == "evaluation"][-1]
    seconds = sum(spent for phase, spent in progress["seconds"].items() if phase not in NOT_TRAINING)
    return Run(final["rows"], progress["samples"], seconds)


def summary(results: Mapping[int, Run], groups: Groups) -> dict[str, Any]:
    """Means over seeds; `spread` is the largest minus the smallest adapted AUC."""

    def mean(metric: str, *, adapted: bool) -> dict[str, float]:
        each = [result.by_group(groups, metric, adapted=adapted) for result in results.values()]
        return {name: round(statistics.fmean(one[name] for one in each), 5) for name in groups}

    adapted = [result.by_group(groups, "auc", adapted=True) for result in results.values()]
    return {
        **{metric: mean(metric, adapted=True) for metric in METRICS},
        **{f"{metric}_unadapted": mean(metric, adapted=False) for metric in METRICS},
        "seeds": list(results),
        "spread": {name: round(max(e[name] for e in adapted) - min(e[name] for e in adapted), 5) for name in groups},
        "samples_per_second": round(
            sum(each.samples for each in results.values()) / sum(each.seconds for each in results.values())
        ),
    }


def show(title: str, rows: Mapping[str, Mapping[str, float]], groups: Groups) -> None:
    """Print a table with a column for each group."""
    shown = Table(title=title)
    for column in ("", *groups):
        shown.add_column(column, justify="right" if column else "left")
    for name, row in rows.items():
        shown.add_row(name, *(f"{row[group]:.4f}" if group in row else "" for group in groups))
    Console().print(shown)


def own_rows(found: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """The rows of a summary's table."""
    return {name: found[name] for name in ("auc", "auc_unadapted", "gauc", "gauc_unadapted", "spread")}


def write_report(path: Path, found: Mapping[str, Any]) -> None:
    """Write a summary as JSON."""
    path.write_text(json.dumps(found, indent=1) + "\n")


def options_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Options of every protocol's command."""
    parser = argparse.ArgumentParser(prog=f"python -m bench {name}", description=text)
    parser.add_argument("--out", type=Path, default=Path("runs") / name, help="where dataset, runs and report go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    return parser
