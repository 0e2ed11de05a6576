"""The dataset of protocol P2: the published warm-up sets of new movies, and the baseline beside it."""

from pathlib import Path

import numpy as np
import pytest
from bench.p2 import MANIFEST, SHOTS
from bench.p2_baseline import two_terms
from bench.p2_sources import write_sources

from gmeta_api.load import load_manifest
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import run


@pytest.fixture(scope="module")
def root(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("p2")
    write_sources(real_data, root / "p2-raw")
    return root


@pytest.mark.data
def test_the_splits_are_the_published_ones(root: Path) -> None:
    spec = load_manifest(MANIFEST).spec
    assert spec.data.prepare is not None
    run(spec.data.prepare, root, root / "dataset")
    dataset = Dataset.open(root / "dataset")
    splits = dataset.card.splits
    assert {name: split.tasks for name, split in splits.items()} == {"train": 945, "valid": 113, "test": 1127}
    assert splits["train"].rows + splits["valid"].rows == 765_669
    test = dataset.split("test").tasks
    assert np.array_equal(test.ranked, np.full(1127, 60))
    assert (test.rows - test.ranked).sum() == 123_787


@pytest.mark.data
def test_two_terms_grow_with_the_warm_up_rows(root: Path) -> None:
    found = two_terms(root / "p2-raw/ratings.csv", "valid", SHOTS)
    assert found["auc"] == pytest.approx({"k20": 0.7477, "k40": 0.7533, "k60": 0.7557}, abs=1e-4)
    # A constant a movie changes no order within it.
    assert found["gauc"]["k60"] == pytest.approx(0.685, abs=1e-3)
