"""Rates and counts against the same thing in pandas, over random tables."""

import hashlib
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.metaio.prepared import prepare, read_split, text_of

from gmeta_worker.metaio import Card, Dataset
from gmeta_worker.metaio.prepare.engine import NULL_KEY

LABELS = [{"name": "click", "rule": "rating >= 4"}, {"name": "best", "rule": "rating = 5"}]
COLUMNS = ["id", "user", "item", "rating", "part"]
SPLITS = ("train", "valid", "test")
BY_TASK = {"by": "task", "train": 0.6, "valid": 0.2, "test": 0.2}

# Every column is a number, so that a key is its own value. Values of None and of 0 are two values.
tables = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.integers(1, 7),
            "item": st.none() | st.integers(0, 4),
            "rating": st.integers(1, 5),
            "part": st.sampled_from(SPLITS),
        }
    ),
    max_size=60,
)


def features(folds: int, shrinkage: float) -> list[dict[str, Any]]:
    """Rates and counts between other numbers, of which ``id`` tells the row."""
    fold = {"columns": ["item"], "folds": folds}
    return [
        {"name": "item_rate", "type": "rate", **fold, "shrinkage": shrinkage},
        {"name": "id", "type": "numeric", "columns": ["id"]},
        {"name": "best_rate", "type": "rate", **fold, "shrinkage": shrinkage, "label": "best"},
        {"name": "item_count", "type": "count", **fold},
        {"name": "item_count_standard", "type": "count", **fold, "transform": "standardize"},
    ]


def read_rows(root: Path, card: Card) -> pd.DataFrame:
    """All rows of a dataset: split, task and the numeric columns, by id."""
    rows = [
        {"split": split, "task": row.task, **dict(zip(card.schema.numeric, row.numeric, strict=True))}
        for split in card.splits
        for task in read_split(root, split)
        for row in task
    ]
    return pd.DataFrame(rows).astype({"id": int}).set_index("id").sort_index()


def task_folds(tasks: "pd.Series[int]", folds: int, seed: int) -> "pd.Series[int]":
    """The documented deal: train tasks in the order of a hash of the seed and the task, one fold after the other."""

    def order(task: int) -> int:
        return int.from_bytes(hashlib.md5(f"order:{seed}:{task}".encode()).digest()[8:], "little")

    dealt = {task: place % folds for place, task in enumerate(sorted(set(tasks), key=order))}
    return tasks.map(dealt)


def rate_and_count(
    asking: pd.DataFrame, known: pd.DataFrame, label: str, shrinkage: float
) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Log odds of the shrunk rate of each asking row's item among known rows less those of all, and its known rows."""
    rows = asking["item"].map(known.groupby("item").size()).fillna(0.0)
    positives = asking["item"].map(known.groupby("item")[label].sum()).fillna(0.0)
    if known.empty or known[label].nunique() == 1:
        return rows * 0.0, rows
    base = known[label].mean()
    rate = (positives + shrinkage * base) / (rows + shrinkage)
    return np.log(rate / (1 - rate)) - np.log(base / (1 - base)), rows


def expected(source: pd.DataFrame, folds: int, shrinkage: float, seed: int) -> pd.DataFrame:
    """The numeric columns of source rows that have a split, by id."""
    train = source[source["split"] == "train"]
    fold = task_folds(train["task"], folds, seed)
    asked = [(source[source["split"] != "train"], train, 1.0)]
    asked += [(train[fold == each], train[fold != each], folds / (folds - 1)) for each in range(folds)]
    parts = []
    for asking, known, scale in asked:
        rate, rows = rate_and_count(asking, known, "click", shrinkage)
        best, _ = rate_and_count(asking, known, "best", shrinkage)
        parts.append(pd.DataFrame({"item_rate": rate, "best_rate": best, "item_count": np.log1p(rows * scale)}))
    values = pd.concat(parts).sort_index()
    counts = values.loc[train.index, "item_count"]
    values["item_count_standard"] = (values["item_count"] - counts.mean()) / (statistics.pstdev(counts) or 1.0)
    return values


def source_of(table: list[dict[str, Any]]) -> pd.DataFrame:
    """The random rows and, so that every split has a task whichever way the rows are split, three more tasks."""
    sure = [
        {"user": 100 + number, "item": place, "rating": 3 + place, "part": part}
        for number, part in enumerate(SPLITS)
        for place in range(3)
    ]
    source = pd.DataFrame([*table, *sure]).rename_axis("id").reset_index()
    return source.assign(item=source["item"].astype("Int64"))


def as_csv(source: pd.DataFrame) -> str:
    plain = source[COLUMNS].astype(object)
    return text_of(plain.where(plain.notna(), None).to_numpy(), ",".join(COLUMNS))


def as_prepared(source: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The source rows that the dataset has, by id, with keys, labels and the split that they are in."""
    known = source.set_index("id").loc[found.index]
    return known.assign(
        item=known["item"].fillna(NULL_KEY).astype(int),
        click=known["rating"] >= 4,
        best=known["rating"] == 5,
        task=known["user"],
        split=found["split"],
    )


@given(tables, st.booleans(), st.integers(2, 6), st.floats(0.01, 100), st.integers(2, 3), st.integers(0, 9))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rates_and_counts_are_those_of_other_tasks(
    table: list[dict[str, Any]], by_task: bool, folds: int, shrinkage: float, min_rows: int, seed: int
) -> None:
    source = source_of(table)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        card = prepare(
            root,
            {"ratings.csv": as_csv(source)},
            labels=LABELS,
            features=features(folds, shrinkage),
            split=BY_TASK if by_task else {"by": "column", "column": "part"},
            taskRows={"min": min_rows},
            chunkRows=5,
            seed=seed,
        )
        found = read_rows(root, card)
        if not by_task:
            large = source[source.groupby(["user", "part"])["id"].transform("size") >= min_rows]
            assert found["split"].to_dict() == large.set_index("id")["part"].to_dict()
        rows = as_prepared(source, found)
        values = expected(rows, folds, shrinkage, seed)
        np.testing.assert_allclose(found[values.columns], values, rtol=1e-5, atol=1e-5)
        assert_files(Dataset.open(root / "dataset"), rows[rows["split"] == "train"], folds, shrinkage)


def assert_files(dataset: Dataset, train: pd.DataFrame, folds: int, shrinkage: float) -> None:
    """What a served model needs: of each key, its rows, positives and value among all train tasks."""
    assert set(dataset.card.priors) == {each["name"] for each in features(2, 1) if each["type"] != "numeric"}
    for name, card in dataset.card.priors.items():
        label = "best" if name == "best_rate" else "click"
        by_item = train.groupby("item")[label].agg(["size", "sum"])
        rate, rows = rate_and_count(by_item.reset_index(), train, label, shrinkage)
        is_rate = name.endswith("rate")
        prior = dataset.prior(name)
        assert prior.keys.tolist() == by_item.index.tolist()
        assert prior.rows.tolist() == by_item["size"].tolist()
        assert prior.positives.tolist() == by_item["sum"].tolist()
        np.testing.assert_allclose(prior.values, rate if is_rate else np.log1p(rows), rtol=1e-9, atol=1e-9)
        assert (card.type, card.shrinkage) == (("rate", shrinkage) if is_rate else ("count", None))
        assert (card.label, card.folds, card.keys) == (label, folds, len(by_item))
        assert (card.rows, card.positives) == (len(train), train[label].sum())
