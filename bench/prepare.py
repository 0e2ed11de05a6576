"""Meta-IO preparation beside the same job in pandas: CPU seconds, and peak memory as rows grow.

Each runs in a process of its own, in turn, on generated ratings of two sizes, of 20 million rows too with --full, and
on MovieLens-1M where --data has it (whose ratings get a fixed random order in the place of their missing time). Both
must find the same rows and positives. Needs pandas (requirements-dev.txt).
"""

import argparse
import csv
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.goals import Goal, goals_by_ending
from bench.movielens_1m import users, write_csv, write_movies
from bench.result import publish
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.datasets import synthetic
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import run

SIZES = (1_000_000, 5_000_000)
FULL_SIZE = 20_000_000
ALLOWED_MIB = 1536
"""The engine's own limit of 1 GB, and half as much for the interpreter, Arrow and the chunk being written."""

OURS, PANDAS = "G-Meta", "pandas"
GOALS = {
    f": {PANDAS} / {OURS}, CPU": Goal(5.0, 10.0),
    "peak memory, MiB": Goal(ALLOWED_MIB, at_most=True),
}
Result = Mapping[str, float]


def main(argv: list[str]) -> int:
    """Print a line for each job and engine, and fail where memory grows beyond the bound that holds for any size."""
    arguments = _parser().parse_args(argv)
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.engine)))
        return 0
    cases: dict[str, Callable[[Path], object]] = {
        f"{rows:,} generated rows": partial(synthetic.generate, rows=rows)
        for rows in (*arguments.rows, *([FULL_SIZE] if arguments.full else []))
    }
    if arguments.data:
        cases["MovieLens-1M"] = partial(write_movielens, arguments.data)
    results = {case: compare(case, make) for case, make in cases.items()}
    ratios = {f"{case}: pandas / G-Meta, CPU": _ratio(each) for case, each in results.items()}
    peaks = [each[OURS]["peak_rss_mib"] for each in results.values()]
    print(f"peak memory of G-Meta: at most {max(peaks):.0f} MiB; the bound is {ALLOWED_MIB} MiB, whatever the rows")
    ratios["peak memory, MiB"] = max(peaks)
    return publish(arguments.out, ratios, results, goals_by_ending(ratios, GOALS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench prepare", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES, help="generated, a job each")
    parser.add_argument("--full", action="store_true", help=f"also {FULL_SIZE:,} rows: some minutes and 4 GB of disk")
    parser.add_argument("--data", type=Path, help="folder that has ml-1m/")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=(OURS, PANDAS), help=argparse.SUPPRESS)
    return parser


def compare(case: str, make: Callable[[Path], object]) -> dict[str, Result]:
    """Make the raw tables, and prepare them with each engine in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "raw")
        found = {engine: _in_process(Path(folder), engine) for engine in (OURS, PANDAS)}
    for field in ("rows", "positives"):
        if found[OURS][field] != found[PANDAS][field]:
            raise RuntimeError(f"{case}: {field}: G-Meta has {found[OURS][field]}, pandas {found[PANDAS][field]}")
    for engine, each in found.items():
        print(
            f"{case}, {engine}: {each['wall_seconds']:.1f} s, {each['cpu_seconds']:.1f} CPU s, "
            f"{each['rows'] / each['cpu_seconds'] / 1e3:.0f} k rows per CPU second, {each['peak_rss_mib']:.0f} MiB",
            flush=True,
        )
    return found


def _in_process(folder: Path, engine: str) -> Result:
    command = [sys.executable, "-m", "bench", "prepare", "--one", str(folder), "--engine", engine]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Result = json.loads(done.stdout)
    return result


def _ratio(found: Mapping[str, Result]) -> float:
    return found[PANDAS]["cpu_seconds"] / found[OURS]["cpu_seconds"]


def write_movielens(data: Path, folder: Path) -> None:
    """The tables of MovieLens-1M under the names of the generated ones."""
    folder.mkdir(parents=True)
    with gzip.open(data / "ml-1m/ratings.csv.gz", "rt") as file:
        ratings = ((row["user_id"], row["movie_id"], row["rating"]) for row in csv.DictReader(file))
        timed = ([*each, (int(each[0]) * 7919 + int(each[1]) * 104_729) % 1_000_003] for each in ratings)
        write_csv(folder / "ratings.csv", "user_id,movie_id,rating,timestamp", timed)
    write_csv(folder / "users.csv", "user_id,gender,age,occupation", users(data))
    write_movies(data, folder)


def measured(folder: Path, engine: str) -> Result:
    """Prepare the tables in ``folder / "raw"``, here, and what it took."""
    # Only the engine asked for is loaded, so that its memory is its own.
    prepare = prepare_with_gmeta if engine == OURS else prepare_with_pandas
    before, started = os.times(), time.perf_counter()
    found = prepare(folder)
    wall, after = time.perf_counter() - started, os.times()
    return {
        "wall_seconds": wall,
        "cpu_seconds": after.user + after.system - before.user - before.system,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **found,
    }


def prepare_with_pandas(folder: Path) -> Result:
    """The peer."""
    from bench.prepare_pandas import prepare

    return prepare(folder / "raw", folder / "pandas")


def prepare_with_gmeta(folder: Path) -> Result:
    """What `gmeta prepare` does."""
    spec = PrepareSpec.model_validate(
        {
            "source": "raw/ratings.csv",
            "joins": [
                {"source": "raw/users.csv", "using": ["user_id"]},
                {"source": "raw/movies.csv", "using": ["movie_id"]},
            ],
            "task": ["user_id"],
            "labels": [{"name": "click", "rule": "rating >= 4"}],
            "features": [
                {"name": "movie", "type": "categorical", "columns": ["movie_id"]},
                {"name": "occupation", "type": "categorical", "columns": ["occupation"]},
                {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
                {"name": "age", "type": "numeric", "columns": ["age"], "transform": "standardize"},
                {"name": "movie_rate", "type": "rate", "columns": ["movie_id"]},
                {"name": "movie_count", "type": "count", "columns": ["movie_id"], "transform": "standardize"},
            ],
            "supportOrder": {"by": "time", "column": "timestamp"},
        }
    )
    run(spec, folder, folder / "dataset")
    splits = Dataset.open(folder / "dataset").card.splits.values()
    return {
        "rows": sum(split.rows for split in splits),
        "positives": sum(split.positives["click"] for split in splits),
    }
