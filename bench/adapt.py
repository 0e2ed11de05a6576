"""Tasks a second of `gmeta adapt` on one core: reading, packing, adapting and scoring files of new tasks.

The export is that of a short run of the quickstart's manifest, a small DLRM whose top layers take three inner steps, on
generated ratings. A task is as large as in P1 of MovieLens-1M: about 50 rows, ten of them query. The tasks are computed
all together, as `gmeta adapt` does it, and one by one, as a loop over tasks would.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.table import Table

from bench.result import Timing, interleave, write_result
from gmeta_worker.datasets.synthetic import generate
from gmeta_worker.metaio import Dataset
from gmeta_worker.serving import Adaptation, write_export
from gmeta_worker.serving.source import RawRows

MANIFEST = Path(__file__).parents[1] / "examples/movielens-maml.yaml"
GMETA = (sys.executable, "-c", "from gmeta_worker.cli.main import main; main()")
ROWS_PER_TASK, QUERY_ROWS = 50, 10
LOOPED_TASKS = 50
READ, SHARED, ADAPTED, LOOPED = "read two Parquet files", "score, un-adapted", "adapt and score", "adapt one by one"


def make_export(folder: Path, tasks: int) -> Adaptation:
    """Train on generated ratings for an epoch, and export."""
    generate(folder / "data/ml-100k-raw", rows=ROWS_PER_TASK * tasks, tasks=tasks)
    options = ("--set", "spec.training.epochs=1", "--set", "spec.workers.replicas=1")
    places = (f"--volume=data={folder / 'data'}", f"--volume=runs={folder}")
    subprocess.run([*GMETA, "run", str(MANIFEST), *places, *options], check=True)
    dataset = Dataset.open(folder / "data/ml-100k")
    write_export(folder / "movielens-maml", dataset, folder / "export")
    return Adaptation(folder / "export")


def write_tasks(folder: Path) -> tuple[Path, Path]:
    """Write the support and the query rows of every user, with the columns of users and movies beside them."""
    raw = folder / "data/ml-100k-raw"
    ratings, users, movies = (pa_csv.read_csv(raw / f"{name}.csv") for name in ("ratings", "users", "movies"))
    rows = ratings.join(users, "user_id").join(movies, "movie_id").sort_by("user_id")
    user = rows["user_id"].to_numpy()
    place = np.arange(len(user)) - np.searchsorted(user, user)
    paths = folder / "support.parquet", folder / "query.parquet"
    for path, chosen in zip(paths, (place >= QUERY_ROWS, place < QUERY_ROWS), strict=True):
        pq.write_table(rows.filter(pa.array(chosen)), path)
    return paths


def some_tasks(rows: RawRows, count: int) -> list[RawRows]:
    """The rows of each of the first `count` tasks; they lie together."""
    bounds = np.searchsorted(rows.task_keys, np.unique(rows.task_keys)[: count + 1])
    return [rows.slice(lo, hi) for lo, hi in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]


def contestants(adaptation: Adaptation, paths: tuple[Path, Path]) -> Mapping[str, Callable[[], object]]:
    """What is timed; the last one is given only LOOPED_TASKS tasks."""

    def read() -> tuple[RawRows, RawRows]:
        return adaptation.read(paths[0], labelled=True), adaptation.read(paths[1], labelled=False)

    support, query = read()
    pairs = list(zip(some_tasks(support, LOOPED_TASKS), some_tasks(query, LOOPED_TASKS), strict=True))
    together = adaptation.scores(support, query)[: sum(len(each.labels) for _, each in pairs)]
    alone = np.concatenate([adaptation.scores(*pair) for pair in pairs])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    return {
        READ: read,
        SHARED: lambda: adaptation.scores(support, query, adapted=False),
        ADAPTED: lambda: adaptation.scores(support, query),
        LOOPED: lambda: [adaptation.scores(*pair) for pair in pairs],
    }


def rates(timings: Mapping[str, Timing], tasks: int) -> dict[str, float]:
    """Tasks a CPU second, by what was timed; then of the whole command."""
    found = {name: (LOOPED_TASKS if name == LOOPED else tasks) / timing.median_cpu for name, timing in timings.items()}
    return {**found, "read, adapt and score": 1 / (1 / found[READ] + 1 / found[ADAPTED])}


def main(argv: list[str]) -> int:
    """Make the export, and time it."""
    parser = argparse.ArgumentParser(prog="python -m bench adapt", description=__doc__)
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        adaptation = make_export(Path(folder), arguments.tasks)
        timings = interleave(contestants(adaptation, write_tasks(Path(folder))), arguments.repeats)
    found = rates(timings, arguments.tasks)
    shown = Table("stage", "tasks a CPU second", "spread", title=f"{arguments.tasks} tasks of {ROWS_PER_TASK} rows")
    for name, rate in found.items():
        shown.add_row(name, f"{rate:,.0f}", f"{timings[name].spread:.0%}" if name in timings else "")
    Console().print(shown)
    if arguments.out is not None:
        spreads = {f"{name}: spread": timing.spread for name, timing in timings.items()}
        write_result(arguments.out, {f"{ADAPTED} / {LOOPED}": found[ADAPTED] / found[LOOPED]}, {**found, **spreads})
    return 0
