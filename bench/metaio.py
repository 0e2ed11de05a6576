"""Meta-IO reading: all step batches of an epoch against a raw pread of the same bytes.

Every contestant but one touches each byte once, by the same fast hash: the reader maps files, and bytes that nobody
touches would cost it nothing. The one is the bare pread, whose bytes are dropped unread.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash
from numpy.typing import NDArray

from bench.result import Timing, interleave, write_result
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.datasets import synthetic
from gmeta_worker.metaio import Dataset, Split, StepBatch, StepReader, SupportPolicy
from gmeta_worker.metaio.prepare import run

REQUIRED = 0.5
CATEGORICAL, NUMERIC = 26, 13
BARE, PREAD, PREAD_ROWS = "pread, 1 MiB, untouched", "pread, 1 MiB", "pread, 32 rows"
LATER, FIRST = "Meta-IO, later epoch", "Meta-IO, first epoch"


def main(argv: list[str]) -> int:
    """Print GB per CPU second of each way to read, and fail where a later epoch is less than half as fast as pread."""
    parser = argparse.ArgumentParser(prog="python -m bench metaio", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = make_dataset(Path(folder), args.rows)
        timings, size = measure(root, args.repeats)
    report(timings, size, args.rows)
    ratios = {
        "metaio_later_epoch_vs_pread": timings[PREAD].median_cpu / timings[LATER].median_cpu,
        "metaio_first_epoch_vs_pread": timings[PREAD].median_cpu / timings[FIRST].median_cpu,
        "metaio_later_epoch_vs_untouched_pread": timings[BARE].median_cpu / timings[LATER].median_cpu,
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    if args.out:
        figures = {name: {"cpu_seconds": t.cpu, "wall_seconds": t.wall} for name, t in timings.items()}
        write_result(args.out, ratios, {"bytes": size, "rows": args.rows, "timings": figures})
    return 0 if ratios["metaio_later_epoch_vs_pread"] >= REQUIRED else 1


def make_dataset(folder: Path, rows: int) -> Path:
    """Make a dataset with the columns of a click log: 26 categorical, 13 numeric, one multi-valued."""
    synthetic.generate(folder / "raw", rows=rows, form="parquet")
    features = [
        *(
            {"name": f"c{i}", "type": "categorical", "columns": [f"(movie_id * {i + 7} + user_id) % {1000 * (i + 1)}"]}
            for i in range(CATEGORICAL)
        ),
        *({"name": f"n{i}", "type": "numeric", "columns": [f"timestamp % {i + 2}"]} for i in range(NUMERIC)),
        {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
    ]
    spec = PrepareSpec.model_validate(
        {
            "source": "raw/ratings.parquet",
            "joins": [{"source": "raw/movies.parquet", "using": ["movie_id"]}],
            "task": ["user_id"],
            "labels": [{"name": "click", "rule": "rating >= 4"}],
            "features": features,
            "split": {"by": "task", "train": 1.0, "valid": 0.0, "test": 0.0},
        }
    )
    run(spec, folder, folder / "dataset")
    return folder / "dataset"


def measure(root: Path, repeats: int) -> tuple[dict[str, Timing], int]:
    """Time every way to read the train split's chunks, and count their bytes."""
    split = Dataset.open(root).split("train")
    files = [root / chunk.file.path for chunk in split.card.chunks]
    size = sum(file.stat().st_size for file in files)
    row_bytes = size // split.card.rows
    contestants = {
        BARE: lambda: sum(len(content) for content in blocks(files, 1 << 20)),
        PREAD: lambda: sum(touch(content) for content in blocks(files, 1 << 20)),
        PREAD_ROWS: lambda: sum(touch(content) for content in blocks(files, 32 * row_bytes)),
        LATER: lambda: read_epoch(split),
        FIRST: lambda: read_epoch(Dataset.open(root).split("train")),
    }
    return interleave(contestants, repeats), size


def blocks(files: list[Path], size: int) -> Iterator[bytes]:
    """Read files in blocks."""
    return (content for file in files for content in _blocks(file, size))


def _blocks(file: Path, block: int) -> Iterator[bytes]:
    handle = os.open(file, os.O_RDONLY)
    try:
        offset = 0
        while content := os.pread(handle, block, offset):
            yield content
            offset += block
    finally:
        os.close(handle)


def read_epoch(split: Split) -> int:
    """Read an epoch's step batches, touch their arrays, and count the bytes."""
    reader = StepReader(split, tasks_per_step=32, support=SupportPolicy("uniform", min=1, max=30))
    with reader.epoch(0) as batches:
        return sum(touch(array.data) for batch in batches for array in _arrays(batch))


def touch(content: bytes | memoryview) -> int:
    """Hash some bytes and count them."""
    xxhash.xxh3_64_intdigest(content)
    return memoryview(content).nbytes


def _arrays(batch: StepBatch) -> Iterator[NDArray[Any]]:
    yield from (batch.keys, batch.numeric, batch.labels)
    for feature in batch.multi:
        yield from (feature.offsets, feature.values)


def report(timings: dict[str, Timing], size: int, rows: int) -> None:
    """Print absolute figures."""
    print(f"{size / 1e6:.0f} MB, {rows} rows, {size / rows:.0f} bytes a row, page cache warm")
    for name, timing in timings.items():
        print(
            f"{name:<23} {size / timing.median_cpu / 1e9:6.2f} GB per CPU second (spread {timing.spread:4.0%}), "
            f"{size / timing.median_wall / 1e9:6.2f} GB/s wall, {rows / timing.median_cpu / 1e6:5.1f} M rows per CPU s"
        )
