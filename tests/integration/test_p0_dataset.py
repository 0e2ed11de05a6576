"""The dataset of protocol P0: the published split of MovieLens-1M, and rates that rank a cold user's movies."""

from pathlib import Path

import numpy as np
import pytest
from bench.p0 import MANIFEST
from bench.p0_sources import write_sources
from numpy.typing import NDArray

from gmeta_api.load import load_manifest
from gmeta_worker.evaluation import MODES, Outcomes, score_shot
from gmeta_worker.metaio import Dataset, Split
from gmeta_worker.metaio.prepare import run
from gmeta_worker.parallel import ALONE


@pytest.fixture(scope="module")
def dataset(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("p0")
    return Dataset.open(prepare(real_data, root))


def prepare(real_data: Path, root: Path) -> Path:
    """The dataset of the manifest, made below `root`."""
    write_sources(real_data, root / "p0-raw")
    spec = load_manifest(MANIFEST).spec
    assert spec.data.prepare is not None
    run(spec.data.prepare, root, root / "dataset")
    return root / "dataset"


def rates_and_clicks(split: Split) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    chunks = [split.read_chunk(number) for number in range(len(split.card.chunks))]
    rate = split.schema.numeric.index("movie_rate")
    numeric = np.concatenate([chunk.numeric[:, rate] for chunk in chunks]).astype(np.float64)
    return numeric, np.concatenate([chunk.labels[:, 0] for chunk in chunks])


def auc(scores: NDArray[np.float64], labels: NDArray[np.float32]) -> float:
    """The pooled AUC, all rows as one task."""
    logits = np.stack([scores.astype(np.float32)] * len(MODES), axis=1)
    rows = len(labels)
    outcomes = Outcomes(logits[:, :, None], labels[:, None], np.zeros(rows, dtype=np.int64), np.array([rows]))
    return score_shot(ALONE, outcomes, ("click",), shot=0).whole[0].auc


def query_rows(split: Split, shot: int) -> NDArray[np.bool_]:
    tasks = split.tasks
    place = np.arange(tasks.rows.sum()) - np.repeat(np.cumsum(tasks.rows) - tasks.rows, tasks.rows)
    return place >= np.repeat(np.minimum(tasks.ranked, shot), tasks.rows)


@pytest.mark.data
def test_the_splits_are_the_published_ones(dataset: Dataset) -> None:
    splits = dataset.card.splits
    assert {name: (split.tasks, split.rows) for name, split in splits.items()} == {
        "train": (4228, 706_033),
        "valid": (604, 101_425),
        "test": (1208, 192_751),
    }
    ranked = dataset.split("test").tasks.ranked
    assert (ranked.sum(), (ranked >= 11).sum(), (ranked >= 30).sum(), ranked.max()) == (35_081, 1208, 1041, 30)
    assert np.array_equal(dataset.split("train").tasks.ranked, dataset.split("train").tasks.rows)


@pytest.mark.data
@pytest.mark.parametrize("shot", [1, 10, 30])
def test_the_rate_of_a_movie_ranks_the_query_rows_of_cold_users(dataset: Dataset, shot: int) -> None:
    split = dataset.split("test")
    rates, clicks = rates_and_clicks(split)
    query = query_rows(split, shot)
    # The positive rate without shrinkage has 0.7250.
    assert auc(rates[query], clicks[query]) == pytest.approx(0.725, abs=0.001)


@pytest.mark.data
def test_rates_of_train_rows_are_no_better_than_those_of_new_tasks(dataset: Dataset) -> None:
    # 0.7348 with other folds than these; with a user's own labels in the rates it is 0.7401.
    assert auc(*rates_and_clicks(dataset.split("train"))) == pytest.approx(0.7348, abs=0.0005)


@pytest.mark.data
def test_preparing_again_gives_the_same_bytes(dataset: Dataset, real_data: Path, tmp_path: Path) -> None:
    card = Dataset.open(prepare(real_data, tmp_path)).card
    assert (card.splits, card.priors, card.numeric) == (
        dataset.card.splits,
        dataset.card.priors,
        dataset.card.numeric,
    )
