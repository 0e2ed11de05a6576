"""Quality on protocol P0: MovieLens-1M, the split of RESUS, cold users by support size, three seeds.

Trains the manifest with `gmeta run`, two workers, one seed after the other, and writes report.json. Test users are
scored once a seed, at the end, by the commit that was best on valid users.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.p0_sources import write_sources

MANIFEST = Path(__file__).parents[1] / "examples/movielens-1m-p0.yaml"
GROUPS: Mapping[str, Sequence[int]] = {
    **{f"k{k}": (k,) for k in (1, 5, 10, 30)},
    "I": range(1, 11),
    "II": range(11, 21),
    "III": range(21, 31),
}
NOT_TRAINING = ("evaluation", "commit")


@dataclass(frozen=True)
class SeedResult:
    """What a seed's run has come to.

    Attributes:
        scores: of test users, a row for each shot and mode.
        samples: trained on.
        seconds: of training, without evaluations and commits.
        wall: seconds of the whole run.
    """

    scores: Sequence[Mapping[str, Any]]
    samples: int
    seconds: float
    wall: float

    def by_group(self, metric: str, *, adapted: bool) -> dict[str, float]:
        """Mean over the shots of each group."""
        at = {row["shot"]: row[metric] for row in self.scores if row["adapted"] is adapted}
        return {name: statistics.fmean(at[shot] for shot in shots) for name, shots in GROUPS.items()}


def run_seed(folder: Path, seed: int, settings: Iterable[str]) -> SeedResult:
    """Train and score one seed in `folder`, which has the source files in data/p0-raw.

    Raises:
        RuntimeError: the run has failed.
    """
    began, path = time.monotonic(), f"seed{seed}"
    given = [f"spec.training.seed={seed}", f"spec.checkpoint.path={path}", *settings]
    options = [option for setting in given for option in ("--set", setting)]
    places = [f"--volume=data={folder / 'data'}", f"--volume=runs={folder}"]
    command = [
        sys.executable,
        "-c",
        "from gmeta_worker.cli.main import main; main()",
        "run",
        str(MANIFEST),
        "--fresh",
        *places,
        *options,
    ]
    if subprocess.run(command, check=False).returncode:
        raise RuntimeError(f"p0: seed {seed} has failed; see {folder / path}/logs")
    messages = [json.loads(line)["message"] for line in (folder / path / "events.jsonl").read_text().splitlines()]
    progress = [each for each in messages if each["kind"] == "progress" and each["rank"] == 0][-1]
    final = [each for each in messages if each["kind"] == "evaluation"][-1]
    seconds = sum(spent for phase, spent in progress["seconds"].items() if phase not in NOT_TRAINING)
    return SeedResult(final["rows"], progress["samples"], seconds, time.monotonic() - began)


def report(results: Mapping[int, SeedResult]) -> dict[str, Any]:
    """Means over seeds; `spread` is the largest minus the smallest adapted AUC."""

    def mean(metric: str, *, adapted: bool) -> dict[str, float]:
        each = [result.by_group(metric, adapted=adapted) for result in results.values()]
        return {name: round(statistics.fmean(one[name] for one in each), 5) for name in GROUPS}

    adapted = [result.by_group("auc", adapted=True) for result in results.values()]
    return {
        "auc": mean("auc", adapted=True),
        "gauc": mean("gauc", adapted=True),
        "auc_unadapted": mean("auc", adapted=False),
        "gauc_unadapted": mean("gauc", adapted=False),
        "seeds": list(results),
        "spread": {name: round(max(e[name] for e in adapted) - min(e[name] for e in adapted), 5) for name in GROUPS},
        "samples_per_second": round(
            sum(each.samples for each in results.values()) / sum(each.seconds for each in results.values())
        ),
        "wall_seconds": round(sum(each.wall for each in results.values())),
    }


def table(found: Mapping[str, Any]) -> Table:
    """The report for people."""
    shown = Table(title=f"P0, mean of {len(found['seeds'])} seeds")
    for column in ("", *GROUPS):
        shown.add_column(column, justify="right" if column else "left")
    for name in ("auc", "auc_unadapted", "gauc", "gauc_unadapted", "spread"):
        shown.add_row(name, *(f"{found[name][group]:.4f}" for group in GROUPS))
    return shown


def main(argv: list[str]) -> int:
    """Prepare, train the seeds, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m bench p0", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with ml-1m/ and its splits")
    parser.add_argument("--out", type=Path, default=Path("runs/p0"), help="where dataset, runs and report go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    options = parser.parse_args(argv)
    sources = options.out / "data/p0-raw"
    if not (sources / "movies.csv").exists():  # the last one written; newer files would be another dataset
        write_sources(options.data, sources)
    results = {seed: run_seed(options.out, seed, options.settings) for seed in range(options.seeds)}
    found = report(results)
    (options.out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    Console().print(table(found))
    return 0
