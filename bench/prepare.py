"""Meta-IO preparation: peak memory and rows a second as rows grow, each size in a process of its own."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.result import write_result
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.datasets import synthetic
from gmeta_worker.metaio.prepare import run

SIZES = (1_000_000, 5_000_000)
FULL_SIZE = 20_000_000
ALLOWED_MIB = 1536
"""The engine's own limit of 1 GB, and half as much for the interpreter, Arrow and the chunk being written."""


def main(argv: list[str]) -> int:
    """Print a line for each size, and fail where one needs more memory than the bound that holds for any size."""
    parser = argparse.ArgumentParser(prog="python -m bench prepare", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"also {FULL_SIZE} rows: some minutes and 4 GB of disk")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(prepare_one(args.one)))
        return 0
    results = {rows: measure(rows) for rows in (*SIZES, *([FULL_SIZE] if args.full else []))}
    peaks = [result["peak_rss_mib"] for result in results.values()]
    growth = peaks[-1] / peaks[-2]
    print(
        f"peak memory grows {growth:.2f} times over the last step, and stays below {ALLOWED_MIB} MiB: {max(peaks):.0f}"
    )
    if args.out:
        write_result(args.out, {"prepare_memory_growth": growth}, {str(rows): each for rows, each in results.items()})
    return 0 if max(peaks) <= ALLOWED_MIB else 1


def measure(rows: int) -> dict[str, float]:
    """Generate ``rows`` ratings and prepare them in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.generate(Path(folder) / "raw", rows=rows)
        command = [sys.executable, "-m", "bench", "prepare", "--one", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    print(
        f"{rows:>11,} rows: {result['wall_seconds']:6.1f} s, {rows / result['wall_seconds'] / 1e3:5.0f} k rows/s, "
        f"{rows / result['cpu_seconds'] / 1e3:5.0f} k rows per CPU second, peak RSS {result['peak_rss_mib']:.0f} MiB",
        flush=True,
    )
    return result


def prepare_one(folder: Path) -> dict[str, float]:
    """Prepare the ratings in ``folder`` and return what it took."""
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
    started = time.perf_counter()
    run(spec, folder, folder / "dataset")
    return {
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time(),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
