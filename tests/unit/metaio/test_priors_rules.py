"""The stated rules of rates and counts, one by one: nothing leaks, and wrong use is told."""

from collections.abc import Sequence
from dataclasses import replace
from math import log1p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.metaio.prepared import ReadRow, prepare, read_split, text_of

from gmeta_api.errors import DataError, ManifestError
from gmeta_worker.cli.inspect import inspect
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare.engine import NULL_KEY

HEADER = "user,item,rating,part"
RATE = {"name": "item_rate", "type": "rate", "columns": ["item"], "folds": 3, "shrinkage": 2}
COUNT = {"name": "item_count", "type": "count", "columns": ["item"], "folds": 3}
Row = tuple[int, int | None, int, str]

# Six train tasks and two test tasks that all know the same few items.
ROWS: list[Row] = [
    (user, (user + 3 * place) % 5, 5 if (user + place) % 3 else 1, "train" if user < 6 else "test")
    for user in range(8)
    for place in range(4)
]


def prepared(root: Path, rows: Sequence[Row], features: Sequence[dict[str, Any]] = (RATE, COUNT)) -> Dataset:
    """Prepare rows split by their column ``part``, once or anew."""
    prepare(
        root,
        {"ratings.csv": text_of(rows, HEADER)},
        overwrite=True,
        features=list(features),
        split={"by": "column", "column": "part"},
    )
    return Dataset.open(root / "dataset")


def numbers(root: Path, split: str) -> dict[int, list[tuple[float, ...]]]:
    """The numeric columns of each row of each task of a split."""
    return {task[0].task: [row.numeric for row in task] for task in read_split(root, split)}


def flipped(rows: Sequence[Row], users: set[int]) -> list[Row]:
    """The rows with every label of some users turned round."""
    return [(user, item, 6 - rating if user in users else rating, part) for user, item, rating, part in rows]


@given(st.integers(0, 5), st.integers(2, 7))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_labels_of_a_train_task_do_not_enter_its_own_values(tmp_path: Path, user: int, folds: int) -> None:
    features = [{**RATE, "folds": folds}, {**COUNT, "folds": folds}]
    prepared(tmp_path, ROWS, features)
    before, tested = numbers(tmp_path, "train"), numbers(tmp_path, "test")
    prepared(tmp_path, flipped(ROWS, {user}), features)
    after = numbers(tmp_path, "train")
    assert after[user] == before[user]
    assert after != before, "the other folds see the labels"
    assert numbers(tmp_path, "test") != tested


def test_the_labels_of_test_rows_enter_nothing(tmp_path: Path) -> None:
    prior = prepared(tmp_path, ROWS).card.priors
    before = numbers(tmp_path, "train"), numbers(tmp_path, "test")
    labels = [row.labels for task in read_split(tmp_path, "test") for row in task]
    assert prepared(tmp_path, flipped(ROWS, {6, 7})).card.priors == prior
    assert (numbers(tmp_path, "train"), numbers(tmp_path, "test")) == before
    assert [row.labels for task in read_split(tmp_path, "test") for row in task] == [
        (1 - label,) for (label,) in labels
    ]


def test_the_rows_of_test_tasks_are_not_counted(tmp_path: Path) -> None:
    with_test = prepared(tmp_path, ROWS).card.priors
    without = prepared(tmp_path, [row for row in ROWS if row[0] != 6]).card.priors
    assert with_test == without


def test_the_same_spec_and_source_give_the_same_bytes(tmp_path: Path) -> None:
    features = [RATE, {**COUNT, "transform": "standardize"}]

    def content() -> dict[str, bytes]:
        prepared(tmp_path, ROWS, features)
        folder = tmp_path / "dataset"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.arrow")}

    first = content()
    assert {"priors/item_rate.arrow", "priors/item_count.arrow"} <= set(first)
    assert content() == first


def test_a_value_that_no_other_fold_has_is_0_and_so_is_an_unseen_one(tmp_path: Path) -> None:
    rows: list[Row] = [
        (user, user if place == 0 else 100, 1 + 4 * (place % 2), "train") for user in range(3) for place in range(3)
    ]
    rows += [(9, 999, 5, "test"), (9, 100, 5, "test")]
    prepared(tmp_path, rows)
    for (rate, count), *others in numbers(tmp_path, "train").values():
        assert (0.0, 0.0) in [(rate, count), *others]
    unseen, seen = sorted(numbers(tmp_path, "test")[9])
    assert unseen == (0.0, 0.0)
    assert seen[1] == pytest.approx(log1p(6))


def test_labels_of_one_class_say_nothing(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, [(user, item, 5, part) for user, item, _, part in ROWS])
    for split in ("train", "test"):
        assert {rate for task in numbers(tmp_path, split).values() for rate, _ in task} == {0.0}
    assert set(dataset.prior("item_rate").values.tolist()) == {0.0}


def test_a_train_split_of_one_task_knows_nothing_of_itself(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 1, 5, "train"), (1, 1, 1, "train"), (2, 1, 5, "test"), (2, 1, 1, "test")]
    prepared(tmp_path, rows)
    assert numbers(tmp_path, "train") == {1: [(0.0, 0.0)] * 2}
    assert numbers(tmp_path, "test") == {2: [(0.0, float(np.float32(log1p(2))))] * 2}


def test_a_missing_value_is_a_value_of_its_own(tmp_path: Path) -> None:
    rows = [(user, None if item == 0 else item, rating, part) for user, item, rating, part in ROWS]
    prior = prepared(tmp_path, rows).prior("item_count")
    train = [row for row in rows if row[3] == "train"]
    assert prior.keys[0] == NULL_KEY
    assert prior.rows[0] == sum(row[1] is None for row in train)


def test_pieces_of_a_long_task_are_one_task(tmp_path: Path) -> None:
    files = {"ratings.csv": text_of(ROWS, HEADER)}
    changes: dict[str, Any] = {"features": [RATE, COUNT], "split": {"by": "column", "column": "part"}}
    whole = prepare(tmp_path, files, **changes)
    rows = {task[0].task: task for task in read_split(tmp_path, "train")}
    cut = prepare(tmp_path, files, overwrite=True, taskRows={"max": 2}, **changes)
    pieces: dict[int, list[ReadRow]] = {}
    for piece in read_split(tmp_path, "train"):
        pieces.setdefault(piece[0].task, []).extend(piece)
    assert cut.splits["train"].tasks == 2 * whole.splits["train"].tasks
    assert pieces == rows


@pytest.mark.parametrize("kind", [RATE, COUNT])
def test_a_column_may_be_that_of_a_side_table_or_an_expression(tmp_path: Path, kind: dict[str, Any]) -> None:
    features = [
        {**kind, "name": column, "columns": [text]} for column, text in {"side": "genre", "own": "item % 2"}.items()
    ]
    prepare(
        tmp_path,
        {
            "ratings.csv": text_of(ROWS, HEADER),
            "items.csv": text_of([(item, item % 2) for item in range(5)], "item,genre"),
        },
        joins=[{"source": "items.csv", "using": ["item"]}],
        features=features,
        split={"by": "column", "column": "part"},
    )
    rows = [values for split in ("train", "test") for task in numbers(tmp_path, split).values() for values in task]
    assert len(set(rows)) > 2
    assert all(side == own for side, own in rows)
    dataset = Dataset.open(tmp_path / "dataset")
    assert dataset.prior("side").keys.tolist() == dataset.prior("own").keys.tolist() == [0, 1]


def test_defaults_are_five_folds_twenty_rows_and_the_first_label(tmp_path: Path) -> None:
    features = [{"name": f"item_{kind}", "type": kind, "columns": ["item"]} for kind in ("rate", "count")]
    plain = prepared(tmp_path, ROWS, features)
    values = numbers(tmp_path, "train")
    spelled = [{**features[0], "folds": 5, "shrinkage": 20, "label": "click"}, {**features[1], "folds": 5}]
    assert prepared(tmp_path, ROWS, spelled).card.priors == plain.card.priors
    assert numbers(tmp_path, "train") == values


def test_a_test_row_has_the_value_of_the_file(tmp_path: Path) -> None:
    item = {"name": "item", "type": "categorical", "columns": ["item"]}
    standard = {**COUNT, "transform": "standardize"}
    dataset = prepared(tmp_path, ROWS, [item, RATE, standard])
    rate, count = dataset.prior("item_rate"), dataset.prior("item_count")
    card = dataset.card.numeric["item_count"]
    rows = [row for task in read_split(tmp_path, "test") for row in task]
    for row in rows:
        place = np.searchsorted(rate.keys, row.keys[0])
        assert row.numeric == pytest.approx(
            (rate.values[place], (count.values[place] - card.mean) / card.std), rel=1e-6
        )
    assert len({row.numeric for row in rows}) > 2


def test_inspect_shows_and_checks_priors(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, ROWS)
    result = CliRunner(catch_exceptions=False, env={"COLUMNS": "200"}).invoke(inspect, [str(dataset.path), "--verify"])
    rate = dataset.card.numeric["item_rate"]
    assert (
        f"│ item_rate  │ rate  │ click: 5 keys, 3 folds, shrinkage 2, rate of all rows {16 / 24:.4g}; "
        f"none: mean {rate.mean:.4g}, std {rate.std:.4g}, 0 missing │" in result.output
    )
    assert "│ item_count │ count │ 5 keys, 3 folds; none: mean" in result.output
    assert result.output.endswith("every file is whole\n")
    path = dataset.path / "priors/item_rate.arrow"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        CliRunner(catch_exceptions=False).invoke(inspect, [str(dataset.path), "--verify"])
    size = dataset.card.priors["item_rate"].file.bytes
    assert str(caught.value) == (
        f"{dataset.path}: prior item_rate (priors/item_rate.arrow): expected {size} bytes, found {size - 1}; "
        "restore the file or run `gmeta prepare --overwrite`"
    )


def test_a_dataset_without_the_prior_says_which_it_has(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, ROWS)
    with pytest.raises(DataError) as caught:
        dataset.prior("user_rate")
    assert str(caught.value) == f"{dataset.path}: no prior 'user_rate'; the dataset has item_rate, item_count"
    bare = replace(dataset, card=replace(dataset.card, priors={}))
    with pytest.raises(DataError) as caught:
        bare.prior("user_rate")
    assert str(caught.value) == f"{dataset.path}: no prior 'user_rate'; the dataset has none"


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({**RATE, "label": "like"}, "features: a rate feature's label must name one of labels"),
        ({**RATE, "folds": 1}, "features[0].folds: expected at least 2, received 1"),
        ({**COUNT, "folds": 101}, "features[0].folds: expected at most 100, received 101"),
        ({**RATE, "shrinkage": 0}, "features[0].shrinkage: expected at least 0.01, received 0"),
        (
            {**RATE, "columns": ["item", "part"]},
            "features[0].columns: only a multi feature has several columns; give one, or use type multi",
        ),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, feature: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        prepared(tmp_path, ROWS, [feature])
    assert str(caught.value) == message


def test_an_unknown_column_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, ROWS, [{**RATE, "columns": ["itm"]}])
    assert str(caught.value) == (
        "feature item_rate: no column 'itm'; did you mean 'item'? (ratings.csv has user, item, rating, part)"
    )
