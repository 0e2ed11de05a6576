"""Tasks a second of `gmeta adapt` on one core: reading, packing, adapting and scoring files of new tasks.

The exports are those of short runs of the quickstart's manifest, a small DLRM with three inner steps, on generated
ratings: its top layers adapt (MAML), or a context vector and a wide head beside them (CAVIA). A task is as large as in
P1 of MovieLens-1M: about 50 rows, ten of them query. The tasks are computed together, as `gmeta adapt` does it, and one
by one, as a loop over tasks would.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
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
LOOPED_TASKS = 200
CASES: Mapping[str, tuple[str, ...]] = {
    "MAML, top layers": (),
    "CAVIA": (
        "spec.meta.algorithm=CAVIA",
        "spec.meta.adapt.dense=[bias, context, wide.head]",
        "spec.model.adaptive={bias: true, context: true, wide: 16}",
    ),
}
READ, SHARED, ADAPTED, LOOPED = "read two Parquet files", "score, un-adapted", "adapt and score", "adapt one by one"


def make_export(folder: Path, path: str, settings: Sequence[str]) -> Path:
    """Train for an epoch, and export."""
    given = ("spec.training.epochs=1", "spec.workers.replicas=1", f"spec.checkpoint.path={path}", *settings)
    options = [option for setting in given for option in ("--set", setting)]
    places = (f"--volume=data={folder / 'data'}", f"--volume=runs={folder}")
    subprocess.run([*GMETA, "run", str(MANIFEST), *places, *options], check=True)
    export = folder / f"{path}-export"
    write_export(folder / path, Dataset.open(folder / "data/ml-100k"), export)
    return export


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


def first_tasks(rows: RawRows, count: int) -> RawRows:
    """The rows of the first `count` tasks; they lie together."""
    return rows.slice(0, int(np.searchsorted(rows.task_keys, rows.task_keys[0] + count)))


def contestants(export: Path, paths: tuple[Path, Path]) -> Mapping[str, Callable[[], object]]:
    """What is timed; the last one is given only LOOPED_TASKS tasks."""
    together, alone = Adaptation(export), Adaptation(export, block_tasks=1)

    def read() -> tuple[RawRows, RawRows]:
        return together.read(paths[0], labelled=True), together.read(paths[1], labelled=False)

    support, query = read()
    some = first_tasks(support, LOOPED_TASKS), first_tasks(query, LOOPED_TASKS)
    np.testing.assert_allclose(together.scores(*some), alone.scores(*some), rtol=1e-5, atol=1e-5)
    return {
        READ: read,
        SHARED: lambda: together.scores(support, query, adapted=False),
        ADAPTED: lambda: together.scores(support, query),
        LOOPED: lambda: alone.scores(*some),
    }


def rates(timings: Mapping[str, Timing], tasks: int) -> dict[str, float]:
    """Tasks a CPU second, by what was timed; then of the whole command."""
    found = {name: (LOOPED_TASKS if name == LOOPED else tasks) / timing.median_cpu for name, timing in timings.items()}
    return {**found, "read, adapt and score": 1 / (1 / found[READ] + 1 / found[ADAPTED])}


def table(title: str, found: Mapping[str, float], timings: Mapping[str, Timing]) -> Table:
    """The rates for people."""
    shown = Table("stage", "tasks a CPU second", "spread", title=title)
    for name, rate in found.items():
        shown.add_row(name, f"{rate:,.0f}", f"{timings[name].spread:.0%}" if name in timings else "")
    return shown


def main(argv: list[str]) -> int:
    """Make the exports, and time them."""
    parser = argparse.ArgumentParser(prog="python -m bench adapt", description=__doc__)
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        generate(folder / "data/ml-100k-raw", rows=ROWS_PER_TASK * arguments.tasks, tasks=arguments.tasks)
        paths = write_tasks(folder)
        for number, (case, settings) in enumerate(CASES.items()):
            export = make_export(folder, f"run{number}", settings)
            timings = interleave(contestants(export, paths), arguments.repeats)
            figures[case] = rates(timings, arguments.tasks)
            Console().print(table(f"{case}: {arguments.tasks} tasks of {ROWS_PER_TASK} rows", figures[case], timings))
    if arguments.out is not None:
        ratios = {f"{case}: {ADAPTED} / {LOOPED}": found[ADAPTED] / found[LOOPED] for case, found in figures.items()}
        write_result(arguments.out, ratios, {"tasks a CPU second": figures})
    return 0
