"""Generated ratings: the stated structure, the stated numbers, flat blocks."""

from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gmeta_worker.cli.fetch import fetch
from gmeta_worker.datasets import synthetic


def test_rows_tasks_and_distinct_items(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, rows=20_000, tasks=150, seed=4)
    ratings = pa_csv.read_csv(tmp_path / "ratings.csv")
    users, movies = pa_csv.read_csv(tmp_path / "users.csv"), pa_csv.read_csv(tmp_path / "movies.csv")
    assert ratings.num_rows == 20_000
    pairs = ratings.select(["user_id", "movie_id"]).group_by(["user_id", "movie_id"]).aggregate([])
    assert pairs.num_rows == 20_000
    assert set(ratings["user_id"].to_pylist()) == set(users["user_id"].to_pylist()) == set(range(1, 151))
    assert set(ratings["movie_id"].to_pylist()) <= set(movies["movie_id"].to_pylist())
    assert set(ratings["rating"].to_pylist()) == {1, 2, 3, 4, 5}


def test_popular_items_are_rated_more() -> None:
    counts = np.full(500, 40)
    items = synthetic._items(counts, 200, np.random.default_rng(0))
    by_item = np.bincount(items, minlength=200)
    assert by_item[:20].sum() > 2 * by_item[60:80].sum()


def test_ratings_follow_bias_quality_and_taste(tmp_path: Path) -> None:
    world = synthetic.generate(tmp_path, rows=50_000, tasks=300, seed=1)
    table = pa_csv.read_csv(tmp_path / "ratings.csv")
    user, item = table["user_id"].to_numpy() - 1, table["movie_id"].to_numpy() - 1
    rating = table["rating"].to_numpy()
    taste = (world.taste[user] * world.genres[item]).sum(axis=1)
    for part in (world.bias[user], world.quality[item], taste):
        assert np.corrcoef(part, rating)[0, 1] > 0.2
    score = world.bias[user] + world.quality[item] + taste
    # Logistic noise of deviation 1.81 on a score of deviation 1.8: the correlation cannot be near 1 or 0.
    assert 0.6 < np.corrcoef(score, rating)[0, 1] < 0.8


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_seed_decides_and_blocks_do_not(
    tmp_path: Path, form: synthetic.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "BLOCK_ROWS", 3_000)
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        synthetic.generate(tmp_path / name, rows=10_000, seed=seed, form=form)
    one, same, other = ((tmp_path / name / f"ratings.{form}").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other
    path = tmp_path / "one" / f"ratings.{form}"
    table = pa_csv.read_csv(path) if form == "csv" else pq.read_table(path)
    assert table.num_rows == 10_000
    assert len(set(table["user_id"].to_pylist())) == 100


def test_the_command(tmp_path: Path) -> None:
    arguments = ["generated", "--rows", "500", "--tasks", "20", "--seed", "3", "--out", str(tmp_path)]
    result = CliRunner(catch_exceptions=False).invoke(fetch, arguments)
    assert result.output == f"{tmp_path}: 500 generated ratings\n"
    assert pa_csv.read_csv(tmp_path / "users.csv").num_rows == 20
