"""The stated rules of the preparation, one by one."""

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.metaio.prepared import RATINGS, prepare, ranked_rows, read_split, text_of

from gmeta_api.errors import DataError
from gmeta_api.spec.prepare import SplitSpec
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import chunks
from gmeta_worker.metaio.prepare.buckets import in_file_order
from gmeta_worker.metaio.prepare.engine import NULL_KEY
from gmeta_worker.metaio.prepare.placement import pack, split_sizes
from gmeta_worker.metaio.tasks import TaskIndex

ITEM = {"name": "item", "type": "categorical", "columns": ["item"]}


def arrow_files(root: Path) -> dict[str, bytes]:
    folder = root / "dataset"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.arrow"))}


def items(root: Path, split: str = "train") -> dict[int, list[int]]:
    return {task[0].task: [row.keys[0] for row in task] for task in read_split(root, split)}


def test_a_second_run_finds_the_dataset_up_to_date(tmp_path: Path) -> None:
    first = prepare(tmp_path, {"ratings.csv": RATINGS})
    before = (tmp_path / "dataset" / "card.json").stat().st_mtime_ns
    assert prepare(tmp_path, {}) == first
    assert (tmp_path / "dataset" / "card.json").stat().st_mtime_ns == before


def test_a_changed_source_is_another_dataset(tmp_path: Path) -> None:
    prepare(tmp_path, {"ratings.csv": RATINGS})
    os.utime(tmp_path / "ratings.csv", (1, 1))
    with pytest.raises(DataError, match=r"holds the dataset of another spec or source"):
        prepare(tmp_path, {})


def test_the_same_spec_and_source_give_the_same_bytes(tmp_path: Path) -> None:
    prepare(tmp_path, {"ratings.csv": RATINGS})
    first = arrow_files(tmp_path)
    prepare(tmp_path, {}, overwrite=True)
    assert arrow_files(tmp_path) == first


@pytest.mark.parametrize("bucket_bytes", [1, 300, 1000])
def test_rows_sorted_some_tasks_at_a_time_are_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_bytes: int
) -> None:
    source = text_of([(u, i, 5, (i * 7) % 5) for u in range(9) for i in range(1 + u % 4)], "user,item,rating,time")
    prepare(tmp_path, {"ratings.csv": source}, chunkRows=5)
    whole = arrow_files(tmp_path)
    monkeypatch.setattr(chunks, "in_file_order", partial(in_file_order, bucket_bytes=bucket_bytes))
    prepare(tmp_path, {}, overwrite=True, chunkRows=5)
    assert arrow_files(tmp_path) == whole
    assert len(whole) > 4


def test_another_seed_gives_another_order_of_tasks_and_rows(tmp_path: Path) -> None:
    source = text_of([(u, i, 5, 0) for u in range(9) for i in range(9)], "user,item,rating,time")
    prepare(tmp_path, {"ratings.csv": source})
    first = items(tmp_path)
    prepare(tmp_path, {}, overwrite=True, seed=1)
    second = items(tmp_path)
    assert list(first) != list(second)
    assert first[3] != second[3]
    assert sorted(first[3]) == sorted(second[3]) == list(range(9))


def test_an_interrupted_run_leaves_nothing_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[object]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_cut", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path, {"ratings.csv": RATINGS})
    assert [path.name for path in tmp_path.iterdir()] == ["ratings.csv"]
    # A killed process cannot clean up: its leftovers must not matter either.
    (tmp_path / "dataset.partial" / "work").mkdir(parents=True)
    (tmp_path / "dataset.partial" / "work" / "work.duckdb").write_bytes(b"half")
    prepare(tmp_path, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "ratings.csv"]


def test_time_order_ascends_and_ranks_every_row(tmp_path: Path) -> None:
    prepare(tmp_path, {"ratings.csv": RATINGS}, supportOrder={"by": "time", "column": "time"})
    assert items(tmp_path) == {user: [10 * user + place for place in (3, 2, 1, 0)] for user in (1, 2, 3)}
    assert ranked_rows(tmp_path, "train") == [4, 4, 4]


def test_column_order_takes_an_expression_and_puts_rows_without_rank_last(tmp_path: Path) -> None:
    order = {"by": "column", "column": "case when item % 10 < 2 then -item end"}
    prepare(tmp_path, {"ratings.csv": RATINGS}, supportOrder=order)
    assert ranked_rows(tmp_path, "train") == [2, 2, 2]
    for user, found in items(tmp_path).items():
        assert found[:2] == [10 * user + 1, 10 * user]
        assert sorted(found[2:]) == [10 * user + 2, 10 * user + 3]


def test_dates_order_as_dates(tmp_path: Path) -> None:
    rows = [(1, number, 5, day) for number, day in enumerate(["2024-10-02", "2024-09-30 23:00:00", "2024-10-01"])]
    files = {"ratings.csv": text_of(rows, "user,item,rating,time")}
    prepare(tmp_path, files, supportOrder={"by": "time", "column": "time"})
    assert items(tmp_path) == {1: [1, 2, 0]}


def test_keys_of_csv_and_parquet_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    pq.write_table(pa_csv.read_csv(tmp_path / "ratings.csv"), tmp_path / "ratings.parquet")
    prepare(tmp_path, {})
    from_csv = arrow_files(tmp_path)
    prepare(tmp_path, {}, overwrite=True, source="ratings.parquet")
    assert arrow_files(tmp_path) == from_csv


@pytest.mark.parametrize(
    ("name", "content", "changes"),
    [
        ("ratings.tsv", RATINGS.replace(",", "\t"), {}),
        ("ratings.csv", RATINGS.replace(",", "::"), {"delimiter": "::"}),
        ("ratings.txt", "\ufeff" + RATINGS.replace("\n", "\r\n"), {}),
    ],
)
def test_other_spellings_of_csv(tmp_path: Path, name: str, content: str, changes: dict[str, str]) -> None:
    prepare(tmp_path, {"plain.csv": RATINGS}, source="plain.csv")
    expected = arrow_files(tmp_path)
    prepare(tmp_path, {name: content}, overwrite=True, source=name, **changes)
    assert arrow_files(tmp_path) == expected


def test_files_of_a_glob_are_one_source_in_the_order_of_their_names(tmp_path: Path) -> None:
    header, *lines = RATINGS.splitlines(keepends=True)
    files = {"day/2.csv": header + "".join(lines[5:]), "day/1.csv": header + "".join(lines[:5]), "all.csv": RATINGS}
    prepare(tmp_path, files, source="all.csv")
    expected = arrow_files(tmp_path)
    card = prepare(tmp_path, {}, overwrite=True, source="day/*.csv")
    assert arrow_files(tmp_path) == expected
    assert card.provenance.sources == ("day/1.csv", "day/2.csv")
    assert card.provenance.rows == 12


def test_a_parquet_list_column_is_a_multi_feature(tmp_path: Path) -> None:
    lists = [[1, 2], None, [], [3, None]]
    table = pa.table({"user": [7] * 4, "item": [1, 2, 3, 4], "rating": [5] * 4, "seen": lists, "time": range(4)})
    pq.write_table(table, tmp_path / "r.parquet")
    features = [{"name": "seen", "type": "multi", "columns": ["seen"]}]
    prepare(tmp_path, {}, source="r.parquet", features=features, supportOrder={"by": "time", "column": "time"})
    (task,) = read_split(tmp_path, "train")
    assert [row.multi for row in task] == [((1, 2),), ((),), ((),), ((3,),)]
    assert all(row.keys == () and row.numeric == () for row in task)


def test_joins_keep_every_row_and_count_those_without_a_partner(tmp_path: Path) -> None:
    side = "item,genre,year\n10,a|b,1990\n11,b,\n,lost,1\n,lost,2\n"
    features = [
        ITEM,
        {"name": "genre", "type": "multi", "columns": ["genre"], "separator": "|"},
        {"name": "year", "type": "categorical", "columns": ["year"]},
        {"name": "decade", "type": "categorical", "columns": ["year // 10"]},
    ]
    joins = [{"source": "items.csv", "using": ["item"]}]
    card = prepare(tmp_path, {"ratings.csv": RATINGS, "items.csv": side}, joins=joins, features=features)
    assert card.unmatched == {"items.csv": 10}
    assert card.splits["train"].rows == 12
    rows = {row.keys[0]: row for task in read_split(tmp_path, "train") for row in task}
    assert rows[10].keys == (10, 1990, 199)
    assert rows[11].keys == (11, NULL_KEY, NULL_KEY)
    assert rows[33].keys == (33, NULL_KEY, NULL_KEY)
    assert rows[33].multi == ((),)
    assert [len(rows[item].multi[0]) for item in (10, 11)] == [2, 1]
    assert rows[10].multi[0][1] == rows[11].multi[0][0]


def test_a_join_of_text_and_number_compares_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item": [10, 11], "year": [1990, 1991]}), tmp_path / "items.parquet")
    joins = [{"source": "items.parquet", "using": ["item"]}]
    features = [ITEM, {"name": "year", "type": "categorical", "columns": ["year"]}]
    card = prepare(tmp_path, {"ratings.csv": RATINGS}, joins=joins, features=features)
    assert card.unmatched == {"items.parquet": 10}
    rows = {row.keys[0]: row.keys[1] for task in read_split(tmp_path, "train") for row in task}
    assert (rows[10], rows[11], rows[12]) == (1990, 1991, NULL_KEY)


def test_a_task_of_two_columns(tmp_path: Path) -> None:
    source = text_of(
        [("u", 1, 5, 0), ("u", 1, 5, 1), ("u", 2, 5, 2), ("u", 2, 5, 3), ("u", None, 5, 4)], "a,b,rating,c"
    )
    card = prepare(tmp_path, {"ratings.csv": source}, task=["a", "b"], features=[{**ITEM, "columns": ["c"]}])
    assert card.left_out == {"task is null": 1}
    assert sorted(map(sorted, items(tmp_path).values())) == [[0, 1], [2, 3]]
    index = pa.ipc.open_file((tmp_path / "dataset/train/tasks.arrow").read_bytes()).get_batch(0)
    assert sorted(index.column("value").to_pylist()) == ["u|1", "u|2"]


def test_duplicate_rows_are_kept_and_counted(tmp_path: Path) -> None:
    twice = RATINGS + "".join(RATINGS.splitlines(keepends=True)[1:4])
    card = prepare(tmp_path, {"ratings.csv": twice})
    # The column `time` is in no feature: rows that differ only there are duplicates as far as the dataset goes.
    assert card.splits["train"].duplicate_rows == 3
    assert card.splits["train"].rows == 15


def test_single_class_tasks_are_kept_and_counted(tmp_path: Path) -> None:
    source = text_of([(1, 1, 5), (1, 2, 5), (2, 1, 1), (2, 2, 1), (3, 1, 1), (3, 2, 5)], "user,item,rating")
    card = prepare(tmp_path, {"ratings.csv": source})
    assert card.splits["train"].single_class_tasks == 2
    assert card.splits["train"].tasks == 3
    assert card.splits["train"].positives == {"click": 3}


def test_a_rule_that_gives_null_leaves_the_row_out(tmp_path: Path) -> None:
    rule = "case when rating = 3 then null else rating > 3 end"
    card = prepare(tmp_path, {"ratings.csv": RATINGS}, labels=[{"name": "click", "rule": rule}])
    threes = sum(line.split(",")[2] == "3" for line in RATINGS.splitlines())
    assert card.left_out == {"label is null": threes}
    assert card.splits["train"].rows == 12 - threes


def test_a_row_may_lack_some_of_its_labels(tmp_path: Path) -> None:
    """Rows 1 to 4 of one user and item: both labels, the first, the second, none; a rate counts rows with its label."""
    source = "user,item,click,bought\n1,7,1,0\n1,7,0,\n1,7,,1\n1,7,,\n2,7,1,1\n2,7,0,\n"
    features = [
        {"name": "item", "type": "categorical", "columns": ["item"]},
        {"name": "rate", "type": "rate", "columns": ["item"], "label": "order"},
        {"name": "count", "type": "count", "columns": ["item"]},
    ]
    labels = [{"name": name, "rule": rule} for name, rule in (("click", "click"), ("order", "bought"))]
    card = prepare(tmp_path, {"ratings.csv": source}, labels=labels, features=features)
    assert card.left_out == {"label is null": 1}
    assert card.splits["train"].positives == {"click": 2, "order": 2}
    found = sorted(str((row.task, *row.labels)) for piece in read_split(tmp_path, "train") for row in piece)
    assert found == ["(1, 0.0, nan)", "(1, 1.0, 0.0)", "(1, nan, 1.0)", "(2, 0.0, nan)", "(2, 1.0, 1.0)"]
    assert (card.priors["rate"].rows, card.priors["rate"].positives) == (3, 2)
    assert card.priors["count"].rows == 5


def test_short_tasks_are_dropped_and_counted(tmp_path: Path) -> None:
    card = prepare(tmp_path, {"ratings.csv": RATINGS + "8,1,5,0\n9,1,5,0\n9,2,5,0\n9,3,5,0\n"}, taskRows={"min": 4})
    assert card.left_out == {"task has fewer than 4 rows": 4}
    assert card.splits["train"].tasks == 3


def test_a_huge_task_becomes_pieces_that_keep_its_order(tmp_path: Path) -> None:
    source = text_of([(1, place, 5, place) for place in range(25)], "user,item,rating,time")
    order = {"by": "column", "column": "case when time < 12 then time end"}
    card = prepare(tmp_path, {"ratings.csv": source}, taskRows={"max": 10}, supportOrder=order, chunkRows=8)
    train = card.splits["train"]
    assert (train.tasks, train.rows, len(train.chunks)) == (3, 25, 3)
    pieces = read_split(tmp_path, "train")
    assert [len(piece) for piece in pieces] == [8, 8, 9]
    assert ranked_rows(tmp_path, "train") == [8, 4, 0]
    assert [row.keys[0] for piece in pieces for row in piece][:12] == list(range(12))
    assert {piece[0].task for piece in pieces} == {1}


def test_a_missing_number_becomes_the_train_mean_and_is_counted(tmp_path: Path) -> None:
    source = text_of([(1, 1, 5, 10), (1, 2, 5, None), (1, 3, 5, "nan"), (1, 4, 5, 30)], "user,item,rating,age")
    for transform, expected in (("none", [10, 20, 20, 30]), ("standardize", [-1, 0, 0, 1])):
        features = [ITEM, {"name": "age", "type": "numeric", "columns": ["age"], "transform": transform}]
        card = prepare(tmp_path, {"ratings.csv": source}, overwrite=True, features=features)
        (task,) = read_split(tmp_path, "train")
        assert [row.numeric[0] for row in sorted(task, key=lambda row: row.keys)] == expected
        assert (card.numeric["age"].mean, card.numeric["age"].std, card.numeric["age"].missing) == (20, 10, 2)


def test_statistics_and_vocabularies_come_from_the_train_split_only(tmp_path: Path) -> None:
    source = text_of(
        [(1, 1, 5, 1, "train"), (1, 2, 5, 3, "train"), (1, 90, 5, 90, "test"), (1, 91, 5, 91, "test")],
        "user,item,rating,age,part",
    )
    features = [ITEM, {"name": "age", "type": "numeric", "columns": ["age"], "transform": "standardize"}]
    card = prepare(
        tmp_path, {"r.csv": source}, source="r.csv", features=features, split={"by": "column", "column": "part"}
    )
    assert (card.numeric["age"].mean, card.numeric["age"].std) == (2, 1)
    assert Dataset.open(tmp_path / "dataset").vocabulary("item").tolist() == [1, 2]
    assert sorted(row.numeric[0] for task in read_split(tmp_path, "test") for row in task) == [88, 89]
    assert set(card.splits) == {"train", "test"}


def test_a_constant_number_is_standardised_to_zero(tmp_path: Path) -> None:
    features = [ITEM, {"name": "one", "type": "numeric", "columns": ["rating * 0 + 1"], "transform": "standardize"}]
    prepare(tmp_path, {"ratings.csv": RATINGS}, features=features)
    assert {row.numeric for task in read_split(tmp_path, "train") for row in task} == {(0.0,)}


def test_split_by_task_gives_whole_tasks_and_exact_fractions(tmp_path: Path) -> None:
    source = text_of([(user, item, 5) for user in range(40) for item in range(3)], "user,item,rating")
    card = prepare(
        tmp_path, {"r.csv": source}, source="r.csv", split={"by": "task", "train": 0.7, "valid": 0.2, "test": 0.1}
    )
    assert {name: split.tasks for name, split in card.splits.items()} == {"train": 28, "valid": 8, "test": 4}
    users = [user for split in card.splits for user in items(tmp_path, split)]
    assert sorted(users) == list(range(40))


@given(st.integers(3, 5000), st.integers(0, 100), st.integers(0, 100))
def test_split_sizes_add_up_and_none_is_empty(tasks: int, first: int, second: int) -> None:
    low, high = sorted((first, second))
    fractions = {"train": low / 100, "valid": (high - low) / 100, "test": (100 - high) / 100}
    sizes = split_sizes(tasks, SplitSpec(by="task", **fractions))
    assert sum(sizes.values()) == tasks
    assert set(sizes) == {name for name, fraction in fractions.items() if fraction > 0}
    assert all(size >= 1 and abs(size - fractions[name] * tasks) <= 2 for name, size in sizes.items())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 100))
def test_tasks_are_packed_in_order_into_chunks_of_about_the_size(rows: list[int], chunk_rows: int) -> None:
    count = len(rows)
    sizes = np.array(rows, np.int64)
    packed = pack(TaskIndex(np.arange(count), np.zeros(count, np.int64), sizes * 0, sizes, sizes), chunk_rows)
    totals = Counter[int]()
    for chunk, start, size in zip(packed.chunk.tolist(), packed.start.tolist(), rows, strict=True):
        assert start == totals[chunk]
        totals[chunk] += size
    assert list(totals) == list(range(len(totals)))
    assert packed.chunk.tolist() == sorted(packed.chunk.tolist())
    assert max(totals.values()) < chunk_rows + max(rows)
    assert len(totals) <= -(-sum(rows) // chunk_rows)
