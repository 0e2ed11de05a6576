"""The preparation against the same thing in plain Python, over random sources."""

import hashlib
import math
import statistics
import tempfile
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.metaio.prepared import ReadRow, prepare, ranked_rows, read_split, text_of

from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare.engine import NULL_KEY

Row = dict[str, Any]

FEATURES = [
    {"name": "item", "type": "categorical", "columns": ["item"]},
    {"name": "tags", "type": "multi", "columns": ["tags"], "separator": "|", "vocabulary": "item"},
    {"name": "pair", "type": "multi", "columns": ["item", "other"]},
    {"name": "age", "type": "numeric", "columns": ["age"], "transform": "standardize"},
    {"name": "size", "type": "numeric", "columns": ["size"], "transform": "log1p"},
]
COLUMNS = ["user", "item", "tags", "rating", "time", "age", "other", "size", "part"]

words = st.sampled_from(["1", "2", "-7", "007", "a", "b b", "é", "9223372036854775807", "9223372036854775808", "-0"])
rows = st.fixed_dictionaries(
    {
        "user": st.none() | st.sampled_from(["u1", "u2", "3", "4", "5"]),
        "item": st.none() | words,
        "tags": st.none() | st.lists(words, min_size=1, max_size=3).map("|".join),
        "rating": st.none() | st.integers(1, 5),
        "time": st.none() | st.integers(-5, 5),
        "age": st.none() | st.integers(-100, 100) | st.just("nan"),
        "other": st.none() | words,
        "size": st.none() | st.floats(0, 1e6).map(lambda value: round(value, 3)),
        "part": st.none() | st.sampled_from(["train", "valid"]),
    }
)


def key_of(text: str | None) -> int | None:
    """The documented rule: canonical 64-bit integers are themselves, other text is the low half of its MD5."""
    if not text:
        return None
    if text.lstrip("-").isdecimal() and str(int(text)) == text and -(2**63) <= int(text) < 2**63:
        return int(text)
    return int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little", signed=True)


def present(values: list[int | None]) -> tuple[int, ...]:
    return tuple(value for value in values if value is not None)


class Oracle:
    """What the dataset of these rows must hold, but for the shuffles."""

    def __init__(self, source: list[Row], min_rows: int) -> None:
        self.left_out = Counter(filter(None, map(self.reason, source)))
        tasks: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in source:
            if not self.reason(row):
                tasks[row["part"], row["user"]].append(row)
        short = sum(len(task) for task in tasks.values() if len(task) < min_rows)
        if short:
            self.left_out[f"task has fewer than {min_rows} rows"] = short
        self.tasks = {name: task for name, task in tasks.items() if len(task) >= min_rows}
        train = [row for (part, _), task in self.tasks.items() for row in task if part == "train"]
        self.age = self.moments([float(row["age"]) for row in train if row["age"] not in (None, "nan")])
        self.size = self.moments([math.log1p(row["size"]) for row in train if row["size"] is not None])

    @staticmethod
    def reason(row: Row) -> str | None:
        reasons = {"user": "task is null", "rating": "label is null", "part": "split is null"}
        return next((reason for column, reason in reasons.items() if row[column] is None), None)

    @staticmethod
    def moments(values: list[float]) -> tuple[float, float]:
        if not values:
            return 0.0, 1.0
        return statistics.fmean(values), statistics.pstdev(values) or 1.0

    def content(self, row: Row) -> tuple[Any, ...]:
        item, other = key_of(row["item"]), key_of(row["other"])
        mean, deviation = self.age
        age = 0.0 if row["age"] in (None, "nan") else (float(row["age"]) - mean) / deviation
        size = self.size[0] if row["size"] is None else math.log1p(row["size"])
        tags = present([key_of(word) for word in (row["tags"] or "").split("|")])
        return (
            (NULL_KEY if item is None else item,),
            (tags, present([item, other])),
            (round(age, 4), round(size, 4)),
            (float(row["rating"] >= 4), float(row["rating"] == 5)),
        )

    def keys(self, vocabulary: str) -> Counter[int]:
        counts: Counter[int] = Counter()
        for (part, _), task in self.tasks.items():
            for row in task if part == "train" else []:
                (item,), (tags, pair), _, _ = self.content(row)
                counts.update([item, *tags] if vocabulary == "item" else pair)
        return counts


def content_of(row: ReadRow) -> tuple[Any, ...]:
    return row.keys, row.multi, tuple(round(value, 4) for value in row.numeric), row.labels


@given(st.lists(rows, min_size=1, max_size=40), st.integers(2, 4), st.integers(1, 12), st.integers(0, 9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_dataset_holds_what_its_source_says(source: list[Row], min_rows: int, chunk_rows: int, seed: int) -> None:
    # Both splits always have a task, so that no example is an error.
    sure = {**dict.fromkeys(COLUMNS), "user": "sure", "rating": 4, "part": "train"}
    source = [*source, *[sure] * 4, *[{**sure, "part": "valid"}] * 4]
    oracle = Oracle(source, min_rows)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        card = prepare(
            root,
            {"ratings.csv": text_of([[row[column] for column in COLUMNS] for row in source], ",".join(COLUMNS))},
            labels=[{"name": "click", "rule": "rating >= 4"}, {"name": "best", "rule": "rating = 5"}],
            features=FEATURES,
            split={"by": "column", "column": "part"},
            supportOrder={"by": "column", "column": "time"},
            taskRows={"min": min_rows},
            chunkRows=chunk_rows,
            seed=seed,
        )
        assert card.left_out == oracle.left_out
        for split in ("train", "valid"):
            expected = {user: task for (part, user), task in oracle.tasks.items() if part == split}
            found = {task[0].task: task for task in read_split(root, split)}
            assert set(found) == {key_of(user) for user in expected}
            ranked = dict(zip(found, ranked_rows(root, split), strict=True))
            for user, task in expected.items():
                key = key_of(user)
                assert key is not None
                assert Counter(map(content_of, found[key])) == Counter(map(oracle.content, task))
                assert ranked[key] == sum(row["time"] is not None for row in task)
                assert_support_order(found[key], task, oracle)
        assert_vocabularies(Dataset.open(root / "dataset"), oracle)


def assert_support_order(found: list[ReadRow], task: list[Row], oracle: Oracle) -> None:
    """Rows of one time are in any order; times ascend, and rows without a time come last."""
    by_time = sorted(task, key=lambda row: (row["time"] is None, row["time"] or 0))
    start = 0
    for _, group in groupby(by_time, key=lambda row: row["time"]):
        expected = Counter(map(oracle.content, group))
        size = expected.total()
        assert Counter(map(content_of, found[start : start + size])) == expected
        start += size


def assert_vocabularies(dataset: Dataset, oracle: Oracle) -> None:
    assert set(dataset.card.vocabularies) == {"item", "pair"}
    for name in ("item", "pair"):
        keys = dataset.vocabulary(name)
        assert keys.tolist() == sorted(oracle.keys(name))
        assert keys.dtype == np.int64
