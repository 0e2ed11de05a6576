"""Meta-IO reading: the step batches of an epoch beside a raw pread of the same bytes, a DataLoader and CSV.

The contract is step batches as writable tensors beside a pread of 32 rows at a time, whose bytes are dropped unread:
both copy each byte once. *Touched* contestants hash every byte once instead: the reader maps files, and bytes that
nobody touches cost it nothing.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import torch
import xxhash
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset

from bench.goals import Goal
from bench.result import Timing, interleave, publish
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.datasets import synthetic
from gmeta_worker.metaio import Dataset, Split, StepBatch, StepReader, SupportPolicy
from gmeta_worker.metaio.prepare import run

CATEGORICAL, NUMERIC = 26, 13
PEER_ROWS = 20_000
BARE, PREAD, PREAD_ROWS = "pread, 1 MiB, untouched", "pread, 1 MiB, touched", "pread, 32 rows, untouched"
LATER, FIRST = "Meta-IO, later epoch, touched", "Meta-IO, first epoch, touched"
TENSORS = "Meta-IO, to writable tensors"
LOADER, CSV = "DataLoader over rows in memory", "pyarrow CSV, to columns"
GOALS = {f"{TENSORS} / {PREAD_ROWS}": Goal(0.5, 0.9), f"{TENSORS} / {LOADER}": Goal(50.0)}


def main(argv: list[str]) -> int:
    """Print rows per CPU second of each way to read, and fail where tensors come at less than half of pread's rate."""
    parser = argparse.ArgumentParser(prog="python -m bench metaio", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = make_dataset(Path(folder), args.rows)
        timings, size, rows = measure(root, args.repeats)
    report(timings, size / args.rows, rows)
    rate = {name: rows[name] / timing.median_cpu for name, timing in timings.items()}
    ratios = {f"{TENSORS} / {name}": rate[TENSORS] / rate[name] for name in (PREAD_ROWS, BARE, LOADER, CSV)}
    ratios |= {f"{name} / {PREAD}": rate[name] / rate[PREAD] for name in (LATER, FIRST)}
    figures = {name: {"rows": rows[name], "cpu_seconds": t.cpu} for name, t in timings.items()}
    return publish(args.out, ratios, {"bytes": size, "rows": args.rows, "timings": figures}, GOALS)


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


def measure(root: Path, repeats: int) -> tuple[dict[str, Timing], int, dict[str, int]]:
    """Time every way to read the train split; the bytes of its chunks, and the rows that each way reads."""
    split = Dataset.open(root).split("train")
    files = [root / chunk.file.path for chunk in split.card.chunks]
    size = sum(file.stat().st_size for file in files)
    block = 32 * (size // split.card.rows)
    loader, csv = row_loader(split), csv_file(split, root.parent)
    contestants: dict[str, Callable[[], object]] = {
        BARE: lambda: sum(len(content) for content in blocks(files, 1 << 20)),
        PREAD: lambda: sum(touch(content) for content in blocks(files, 1 << 20)),
        PREAD_ROWS: lambda: sum(len(content) for content in blocks(files, block)),
        LATER: lambda: sum(touch(array.data) for batch in epoch(split) for array in arrays(batch)),
        FIRST: lambda: sum(
            touch(array.data) for batch in epoch(Dataset.open(root).split("train")) for array in arrays(batch)
        ),
        TENSORS: lambda: sum(len(torch.from_numpy(array.copy())) for batch in epoch(split) for array in arrays(batch)),
        LOADER: lambda: sum(len(batch[0]) for batch in loader),
        CSV: lambda: pa_csv.read_csv(csv, pa_csv.ReadOptions(use_threads=False)),
    }
    rows = dict.fromkeys(contestants, split.card.rows) | {LOADER: PEER_ROWS, CSV: PEER_ROWS}
    return interleave(contestants, repeats), size, rows


def row_loader(split: Split) -> Iterable[list[torch.Tensor]]:
    """The first rows of a split in memory, as a DataLoader puts batches of them together row by row."""
    chunk = split.read_chunk(0)
    columns = [torch.from_numpy(each[:PEER_ROWS].copy()) for each in (chunk.keys, chunk.numeric, chunk.labels)]
    return DataLoader(TensorDataset(*columns), batch_size=512)


def csv_file(split: Split, folder: Path) -> Path:
    """The single-valued columns of the first rows of a split, as a CSV file."""
    chunk, path = split.read_chunk(0), folder / "rows.csv"
    values = [column[:PEER_ROWS] for group in (chunk.keys, chunk.numeric, chunk.labels) for column in group.T]
    pa_csv.write_csv(pa.table({f"c{number}": np.ascontiguousarray(each) for number, each in enumerate(values)}), path)
    return path


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


def epoch(split: Split) -> Iterator[StepBatch]:
    """The step batches of an epoch."""
    reader = StepReader(split, tasks_per_step=32, support=SupportPolicy("uniform", min=1, max=30))
    with reader.epoch(0) as batches:
        yield from batches


def touch(content: bytes | memoryview) -> int:
    """Hash some bytes and count them."""
    xxhash.xxh3_64_intdigest(content)
    return memoryview(content).nbytes


def arrays(batch: StepBatch) -> Iterator[NDArray[Any]]:
    """Views of the mapped file."""
    yield from (batch.keys, batch.numeric, batch.labels)
    for feature in batch.multi:
        yield from (feature.offsets, feature.values)


def report(timings: Mapping[str, Timing], row_bytes: float, rows: Mapping[str, int]) -> None:
    """Print absolute figures."""
    print(f"{row_bytes:.0f} bytes a row, page cache warm")
    for name, timing in timings.items():
        per_second = rows[name] / timing.median_cpu
        print(
            f"{name:<36} {per_second / 1e6:7.2f} M rows per CPU second (spread {timing.spread:4.0%}), "
            f"{per_second * row_bytes / 1e9:6.2f} GB per CPU second"
        )
