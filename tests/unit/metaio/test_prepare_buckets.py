"""Rows in file order: sorted in parts that fit into memory, however many parts that takes."""

import math
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.metaio.prepared import prepare, read_split, text_of

from gmeta_worker.metaio.prepare import buckets
from gmeta_worker.metaio.prepare.buckets import in_file_order

Row = tuple[int, float | None, int]
RANKS = st.sampled_from([None, math.nan]) | st.floats(-3, 3, width=16)
SCHEMA = pa.schema({"position": pa.int64(), "rank": pa.float64(), "tie": pa.uint64(), "payload": pa.list_(pa.int64())})


def batches(rows: list[Row], size: int) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(rows), size):
        columns = list(zip(*((*row, list(row[::2])) for row in rows[begin : begin + size]), strict=True))
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA
        )


def rank_key(rank: float | None) -> tuple[int, float]:
    """Numbers first, then what is no number, then nothing: as the engine orders them."""
    if rank is None:
        return 2, 0.0
    return (1, 0.0) if math.isnan(rank) else (0, rank)


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[0], *rank_key(row[1]), row[2]))


@settings(max_examples=60, deadline=None)
@given(
    tasks=st.lists(st.tuples(st.integers(0, 9), RANKS), min_size=1, max_size=60),
    size=st.integers(1, 20),
    bucket_bytes=st.sampled_from([1, 100, 500, 10_000]),
    most=st.integers(2, 4),
)
def test_rows_come_in_file_order_in_any_number_of_buckets(
    tasks: list[tuple[int, float | None]], size: int, bucket_bytes: int, most: int
) -> None:
    rows = [(task, rank, tie) for tie, (task, rank) in enumerate(tasks)]
    random.Random(0).shuffle(rows)
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        patched.setattr(buckets, "MOST_BUCKETS", most)
        tables = list(in_file_order(batches(rows, size), len(rows), range(10), Path(folder), bucket_bytes))
        assert not list(Path(folder).iterdir())
    assert all(table.column_names == ["payload"] for table in tables)
    payload = [each for table in tables for each in table["payload"].to_pylist()]
    assert payload == [[task, tie] for task, _, tie in in_order(rows)]
    if bucket_bytes == 1:
        assert len(tables) == len({task for task, _ in tasks})


def test_an_order_that_is_not_followed_to_its_end_leaves_no_file(tmp_path: Path) -> None:
    rows: list[Row] = [(task, None, task) for task in range(10)]
    order = in_file_order(batches(rows, 3), len(rows), range(10), tmp_path, bucket_bytes=1)
    next(order)
    assert list(tmp_path.iterdir())
    del order
    assert not list(tmp_path.iterdir())


def test_support_may_be_ordered_by_what_only_the_engine_can_compare(tmp_path: Path) -> None:
    ratings = [(1, 10, 5, "b"), (1, 11, 5, ""), (1, 12, 5, "a"), (1, 13, 5, "c")]
    prepare(
        tmp_path,
        {"ratings.csv": text_of(ratings, "user,item,rating,place")},
        supportOrder={"by": "column", "column": "[place, 'x']"},
    )
    ((*rows,),) = read_split(tmp_path, "train")
    assert [row.keys[0] for row in rows] == [12, 10, 13, 11]
