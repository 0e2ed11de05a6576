"""Generated scenarios: AntM2C's columns, the stated structure, and splits that share no user or no item."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from click.testing import CliRunner

from gmeta_worker.cli.fetch import fetch
from gmeta_worker.datasets import scenarios

ANTM2C = (
    *("user_id", "item_id", "log_time", "label", "bill_entity_seq", "service_entity_seq", "query_entity_seq"),
    *("item_entity_names", "item_title", "scene"),
)


def read(folder: Path) -> pa.Table:
    return pa_csv.read_csv(folder / scenarios.NAME)


def test_the_command_writes_antm2cs_columns_and_two_splits(tmp_path: Path) -> None:
    arguments = ["scenarios", "--rows", "2000", "--scenes", "3", "--out", str(tmp_path)]
    result = CliRunner(catch_exceptions=False).invoke(fetch, arguments)
    assert result.output == f"{tmp_path}: 2000 generated impressions of 3 scenes\n"
    table = read(tmp_path)
    assert table.column_names == [*ANTM2C, "cold_users", "cold_items"]
    assert table.num_rows == 2000
    assert set(table["scene"].to_pylist()) == {0, 1, 2}
    times = table["log_time"].to_numpy()
    assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize(("split", "owner"), [("cold_users", "user_id"), ("cold_items", "item_id")])
def test_no_user_or_item_is_in_two_parts(tmp_path: Path, split: str, owner: str) -> None:
    scenarios.generate(tmp_path, rows=5000, users=300, items=100, seed=2)
    table = read(tmp_path)
    parts = table.group_by([owner]).aggregate([(split, "count_distinct")])
    assert set(parts[f"{split}_count_distinct"].to_pylist()) == {1}
    assert set(table[split].to_pylist()) == {"train", "valid", "test"}
    assert 0.6 < np.mean(np.array(table[split].to_pylist()) == "train") < 0.8


def test_clicks_follow_the_entities_that_histories_and_items_share(tmp_path: Path) -> None:
    made = scenarios.generate(tmp_path, rows=20_000, seed=1)
    table = read(tmp_path)
    clicks, scene = table["label"].to_numpy(), table["scene"].to_numpy()
    columns = [table[name].to_pylist() for name in (*scenarios.HISTORIES, "item_entity_names")]
    lists = [[set(text.split("|")) for text in column] for column in columns]
    shared = np.array([[len(known & item) for known in histories] for *histories, item in zip(*lists, strict=True)])
    logits = (made.weights[scene] * shared).sum(1) + made.bias[scene] + made.quality[table["item_id"].to_numpy() - 1]
    expected = 1 / (1 + np.exp(-logits))
    assert (
        np.abs([clicks[part].mean() - expected[part].mean() for part in np.array_split(logits.argsort(), 10)]).max()
        < 0.04
    )
    assert expected.std() > 0.2


def test_the_seed_decides(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        scenarios.generate(tmp_path / name, rows=500, seed=seed)
    one, same, other = ((tmp_path / name / scenarios.NAME).read_bytes() for name in ("one", "same", "other"))
    assert one == same != other
